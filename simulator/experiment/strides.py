"""Ticks of a world that a run takes as one: what a tick costs beside its events is then paid once.

Whatever comes of a run comes of it so too, bit for bit. Ticks are told apart by what may change from one to the next: the version
that serves, what a learner has published or retrained on, the day, which days are closed, and the items that are held. Between two
such bounds a learner is shown the same examples in the same order, and a server asks the same model.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from reloop_stream.clock import HOUR_MS
from reloop_stream.config import FineTuneConfig, LearnerConfig, WindowConfig
from reloop_stream.updating import publish_every_ms
from simulator.experiment.calendar import Calendar
from simulator.scenario import Scenario

__all__ = ["AT_ONCE", "in_strides"]

# Exposures of an arm that are taken as one, some MiB of columns. What a tick costs beside its events, about as much as two thousand
# of them, is then little.
AT_ONCE = 1 << 14
# In A/A one server and one learner have all arms' exposures: of more arms than these they are taken as if there were no more.
MOST_ARMS = 8
# Candidates an exposure up to which these alone count: of longer lists fewer requests are taken, so that scores are some MiB too.
MOST_CANDIDATES = 32


def in_strides(ticks: Calendar, scenario: Scenario, requests: float, k: int, held: int, at_once: int) -> Calendar:
    """The calendar of a run of these ticks, which takes some of them at once where nothing tells them apart.

    requests: expected in a tick. k: candidates of each. held: for how many ticks items are held. at_once: the exposures of an arm
    that may be expected in what is taken at once; 0: each tick by itself.
    """
    expected = requests * max(scenario.serving.slate, k / MOST_CANDIDATES)
    most = int(at_once * min(len(scenario.arms), MOST_ARMS) // max(expected, 1.0))
    acts_on_alarm = any(arm.learner.monitor is not None for arm in scenario.arms)  # at the end of a tick
    if most < 2 or acts_on_alarm:
        return ticks
    begins, closes = (
        np.searchsorted(ticks.bounds_ms, ticks.day_bounds_ms + later_ms) for later_ms in (0, scenario.attribution_ms)
    )
    apart = [begins, closes, np.arange(0, ticks.ticks, held)]
    delay_ms = round(scenario.serving.deploy_delay_hours * HOUR_MS)
    for config in _learners(scenario):
        published = 1 + ticks.publish_ticks(publish_every_ms(config))
        serves = np.searchsorted(ticks.bounds_ms, ticks.bounds_ms[published] + delay_ms)
        apart += [published, serves[serves < ticks.ticks]]
        if isinstance(config.updating, WindowConfig | FineTuneConfig):
            apart.append(1 + ticks.publish_ticks(round(config.updating.every_hours * HOUR_MS)))
    bounds = np.unique(np.append(np.concatenate(apart), ticks.ticks))
    strides = [np.linspace(a, b, -(-(b - a) // most), endpoint=False) for a, b in itertools.pairwise(bounds)]
    return ticks.joined(np.append(np.concatenate(strides), ticks.ticks).astype(np.int64))


def _learners(scenario: Scenario) -> Iterator[LearnerConfig]:
    """Of the arms, and of their shadows of A/A, which may be updated as the control's is."""
    for arm in scenario.arms:
        yield arm.learner
        yield arm.learner.model_copy(update={"updating": scenario.control.learner.updating})
