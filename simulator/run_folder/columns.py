"""The columns of a run folder's tables, and the words for its phases: one place for whoever writes and whoever reads."""

from __future__ import annotations

__all__ = [
    "BLOCK_COLUMNS",
    "BOUND_COLUMNS",
    "BOUND_POLICIES",
    "DAILY_COLUMNS",
    "DAILY_NEEDED",
    "ITEMS_COLUMNS",
    "MONITOR_COLUMNS",
    "OFF_POLICY_COLUMNS",
    "PHASE_LABELS",
    "RELIABILITY_COLUMNS",
    "RELIABILITY_EDGES",
    "TEXT_COLUMNS",
    "TOPICS_COLUMNS",
    "TRUTH_COLUMNS",
    "USERS_COLUMNS",
]

# A row a day and arm. day: from 0. auc to calibration: of the stamps. progressive_*: of the learner, before it learnt.
# random_*: of the stamps of slates that were drawn at random. staleness_hours: mean over the exposures of their time less
# the label time of the newest example that the version that stamped them had learnt from; version 0, which learnt from
# nothing, is left out.
DAILY_COLUMNS = (
    "day",
    "phase",
    "arm",
    "users",
    "requests",
    "exposures",
    "clicks",
    "ctr",
    "auc",
    "logloss",
    "ne",
    "calibration",
    "model_versions",
    "progressive_auc",
    "progressive_logloss",
    "progressive_calibration",
    "random_exposures",
    "random_auc",
    "random_calibration",
    "staleness_hours",
)
DAILY_NEEDED = DAILY_COLUMNS[:12]  # what no readout does without

# A row a user and day. Where a replay's slates were ranked, also the sums of `simulator.replay.ranking.ranking_columns`.
USERS_COLUMNS = ("user_id", "arm", "day", "phase", "exposures", "clicks")

# Of a replay, a row a day, arm and block: a stretch of the day, from 0, the same for all arms. Sums over the stamps in it:
# weight (how many), labels, predictions, cross_entropy. auc_without: of the day's other blocks.
BLOCK_COLUMNS = (
    "day",
    "phase",
    "arm",
    "block",
    "exposures",
    "clicks",
    "weight",
    "labels",
    "predictions",
    "cross_entropy",
    "auc_without",
)

# Of a simulation, a row a day, arm and item that was shown. new_exposures: of those, while the item was in the youngest age
# bucket. live: how many items could be shown that day, to whomever.
ITEMS_COLUMNS = ("day", "phase", "arm", "item_id", "exposures", "clicks", "new_exposures", "live")

# Of a simulation, a row a user, phase and topic of items that the user was shown.
TOPICS_COLUMNS = ("user_id", "arm", "phase", "topic", "exposures", "clicks")

# A row an arm, phase and bin of the stamps' pCTR that holds any. predicted: their sum. Of events that carry weights, all are weighted.
RELIABILITY_COLUMNS = ("arm", "phase", "bin", "exposures", "predicted", "clicks")
# Logits of pCTR between one bin and the next: from .1% to 99.9%, finest where CTRs lie. Multiples of 1/256, by which
# `reloop_stream.metrics.StreamMetrics` counts.
RELIABILITY_EDGES = (
    -7.0,
    -6.0,
    -5.5,
    -5.0,
    -4.5,
    *(-4.0 + 0.25 * i for i in range(17)),
    0.5,
    1.0,
    1.5,
    2.0,
    2.5,
    3.0,
    4.0,
    5.0,
    7.0,
)

# A row a kind of truth, day and arm. kind: experiment, launch.
TRUTH_COLUMNS = ("kind", "day", "arm", "exposures", "expected_clicks")

# Of A/B, a row a day and policy: `BOUND_POLICIES` on everyone's requests, and each arm's name on those of its own users. auc, logloss:
# of the world's click probabilities as predictions of the labels on what it showed.
BOUND_COLUMNS = ("day", "policy", "exposures", "expected_clicks", "auc", "logloss")
BOUND_POLICIES = ("oracle", "random")  # no arm may be called so: `simulator.scenario.sections`

# A row a learner and tick. day: of the tick, from 0. time: days from the beginning to the end of the tick. The rest:
# `reloop_stream.updating.monitor.MonitorReading`.
MONITOR_COLUMNS = (
    "learner",
    "arm",
    "tick",
    "day",
    "time",
    "auc",
    "logloss",
    "calibration",
    "estimate",
    "alarm",
    "rate",
)

# A row a logged row and arm that judged it. target: the probability with which the arm's policy would have shown what was
# logged with `propensity`. q_logged: what its model expects of that; q_target: what it expects of its policy.
OFF_POLICY_COLUMNS = (
    "day",
    "phase",
    "arm",
    "user_id",
    "click",
    "propensity",
    "target",
    "q_logged",
    "q_target",
)

# Text in every table, whatever it looks like: an arm may be named 1.
TEXT_COLUMNS = ("arm", "kind", "learner", "phase", "policy")

PHASE_LABELS = {"warmup": "warm-up", "aa": "A/A", "ab": "A/B"}
