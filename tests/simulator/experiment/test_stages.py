"""Which learners a run has: who forks from the control, and whose own learner trains beside it."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from simulator.experiment.calendar import Calendar
from simulator.experiment.shards import Shards
from simulator.experiment.stages import Learning, plan_stages, spread
from simulator.scenario import CONTROL_LEARNER, parse_scenario
from tests.conftest import TINY

HOUR_MS = 3_600_000


def learners(treatment: dict[str, Any]) -> tuple[list[Learning], Learning]:
    """The learners of A/A, and the treatment's in A/B."""
    raw = yaml.safe_load(TINY)
    raw["arms"][1]["learner"] = treatment
    calendar = Calendar.regular(
        start_ms=0, tick_ms=HOUR_MS, day_ms=24 * HOUR_MS, days={"warmup": 1, "aa": 1, "ab": 1}, attribution_ms=0
    )
    before, after = plan_stages(parse_scenario(raw), calendar)
    return list(before.learning), after.learning[1]


@pytest.mark.parametrize(
    "treatment",
    [
        {"updating": {"mode": "none"}},
        {"updating": {"mode": "none"}, "memory": {}},
        {"memory": {"bits": 4}},
        {"loss": {"name": "fnc"}},
        {"loss": {"name": "reloop", "level": "session"}},
    ],
    ids=str,
)
def test_an_arm_that_needs_no_more_than_the_control_s_weights_forks_from_it(treatment: dict[str, Any]) -> None:
    before, own = learners(treatment)
    assert [role.name for role in before] == [CONTROL_LEARNER] and own.fork_of == CONTROL_LEARNER


@pytest.mark.parametrize("updating", [{"mode": "window"}, {"mode": "fine_tune"}, {"mode": "replay"}], ids=str)
def test_another_way_of_updating_trains_beside_the_control_by_its_own_way(updating: dict[str, Any]) -> None:
    before, own = learners({"updating": updating})
    assert own.fork_of == own.name == before[1].name
    assert (before[1].config_of, before[1].loss_of, before[1].updating_of) == (1, 0, 1)


def test_another_model_that_never_learns_is_trained_by_the_control_s_way_until_a_b() -> None:
    before, own = learners({"model": {"name": "lr"}, "updating": {"mode": "none"}})
    assert (before[1].name, before[1].updating_of) == (own.name, 0)
    assert (own.fork_of, own.updating_of) == (own.name, 1)


def processes(workers: int, shards: int, stage: int = 1) -> list[str]:
    """What each process does in a stage of a scenario of two arms: its servers, then its learners."""
    scenario = parse_scenario(yaml.safe_load(TINY))
    calendar = Calendar.regular(
        start_ms=0, tick_ms=HOUR_MS, day_ms=24 * HOUR_MS, days={"warmup": 1, "aa": 1, "ab": 1}, attribution_ms=0
    )
    shares = spread(plan_stages(scenario, calendar, Shards(shards))[stage], workers)
    return [
        " ".join([*(role.name for role in servers), *(role.name for role in learners)]) for servers, learners in shares
    ]


def test_an_arm_s_server_and_learner_go_together_while_there_are_no_more_processes_than_arms() -> None:
    assert processes(1, 1) == ["control reloop control reloop"]
    assert processes(2, 1) == ["control control", "reloop reloop"]
    assert processes(2, 2) == ["control@0 control@1 control", "reloop@0 reloop@1 reloop"]


def test_with_more_processes_than_learners_each_learner_has_its_own_and_shards_of_users_share_the_rest() -> None:
    assert processes(3, 1) == ["control reloop", "control", "reloop"]
    assert processes(6, 2) == ["control@0", "control@1", "reloop@0", "reloop@1", "control", "reloop"]
    assert processes(2, 1, stage=0) == ["everyone", "control-learner"]
    assert processes(3, 2, stage=0) == ["everyone@0", "everyone@1", "control-learner"]


def test_a_server_of_a_shard_goes_on_from_the_one_that_served_it_before() -> None:
    scenario = parse_scenario(yaml.safe_load(TINY))
    calendar = Calendar.regular(
        start_ms=0, tick_ms=HOUR_MS, day_ms=24 * HOUR_MS, days={"warmup": 1, "aa": 0, "ab": 1}, attribution_ms=0
    )
    _, after = plan_stages(scenario, calendar, Shards(2))
    assert [(role.name, role.fork_of) for role in after.serving[2:]] == [
        ("reloop@0", ("everyone@0",)),
        ("reloop@1", ("everyone@1",)),
    ]
    assert after.learning[1].partitions == (2, 3)
