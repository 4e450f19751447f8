"""Which ticks are taken at once: never two between which anything changes that a server or a learner goes by."""

from __future__ import annotations

from typing import Any

import numpy as np
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reloop_stream.clock import HOUR_MS
from reloop_stream.config import apply_overrides
from reloop_stream.updating import publish_every_ms
from simulator.experiment.calendar import Calendar
from simulator.experiment.strides import AT_ONCE
from simulator.scenario import Scenario, parse_scenario
from simulator.serving.simulated_feed import feed_calendar
from tests.conftest import TINY


def scenario(*overrides: str) -> Scenario:
    return parse_scenario(apply_overrides(yaml.safe_load(TINY), overrides))


def served(calendar: Calendar, every_ms: int, delay_ms: int, time_ms: int) -> int:
    """How many versions have been published and deployed, as servers go by it, when a time comes."""
    bounds = calendar.bounds_ms
    begins_ms = bounds[np.searchsorted(bounds, time_ms, side="right") - 1]
    return int((bounds[calendar.publish_ticks(every_ms) + 1] + delay_ms <= begins_ms).sum())


@given(
    minutes=st.sampled_from([10, 15, 30, 45, 60, 120]),
    hours=st.sampled_from([0.5, 1, 4, 5, 7.5, 24]),
    delay=st.sampled_from([0, 0.25, 1, 3, 25]),
    attribution=st.sampled_from([0.2, 2, 24]),
    every=st.sampled_from([6, 9]),
)
def test_versions_days_and_retrainings_are_those_of_the_ticks(
    minutes: int, hours: float, delay: float, attribution: float, every: float
) -> None:
    settings: dict[str, Any] = {
        "tick_minutes": minutes, "learner.publish_every_hours": hours, "serving.deploy_delay_hours": delay,
        "join.attribution_hours": attribution,
        "arms": f"[{{name: a}}, {{name: b, learner: {{updating: {{mode: window, every_hours: {every}}}}}}}]",
    }  # fmt: skip
    one = scenario(*(f"{path}={value}" for path, value in settings.items()))
    ticks, strides = feed_calendar(one, 0), feed_calendar(one, AT_ONCE)
    assert set(strides.bounds_ms.tolist()) <= set(ticks.bounds_ms.tolist())
    assert strides.bounds_ms[[0, -1]].tolist() == ticks.bounds_ms[[0, -1]].tolist()
    assert (np.diff(strides.bounds_ms) > 0).all() and strides.phases == ticks.phases
    assert strides.bounds_ms[strides.serving_ticks] == ticks.bounds_ms[ticks.serving_ticks]
    for time_ms in ticks.bounds_ms[:-1].tolist():
        for arm in one.arms:
            every_ms = publish_every_ms(arm.learner)
            there = served(ticks, every_ms, round(delay * HOUR_MS), time_ms)
            assert served(strides, every_ms, round(delay * HOUR_MS), time_ms) == there
    for every_ms in (round(hours * HOUR_MS), round(every * HOUR_MS)):  # a version is published, a window trained on
        at = [calendar.bounds_ms[calendar.publish_ticks(every_ms) + 1].tolist() for calendar in (ticks, strides)]
        assert at[0] == at[1]
    for later_ms in (0, one.attribution_ms):  # days begin, and close
        times_ms = ticks.day_bounds_ms + later_ms
        at = [c.bounds_ms[np.searchsorted(c.bounds_ms, times_ms)].tolist() for c in (ticks, strides)]
        assert at[0] == at[1]


def test_as_many_are_taken_as_hold_so_many_exposures_and_candidates() -> None:
    daily = "learner.updating={mode: window, every_hours: 24}", "tick_minutes=10", "learner.publish_every_hours=24"
    free = scenario(*daily, "world.items.lifetime_days=9")
    but_for_deployment = np.diff(feed_calendar(free, AT_ONCE).bounds_ms).max()
    assert but_for_deployment == 23 * HOUR_MS
    assert feed_calendar(free, 0).ticks == feed_calendar(free, AT_ONCE // 10_000).ticks == 6 * 24 * 3 + 6 + 1
    many = scenario(*daily, "world.items.lifetime_days=9", "world.users.n=100000", "world.items.live=5000")
    in_one = np.diff(feed_calendar(many, AT_ONCE).bounds_ms).max() / (10 * 60_000)
    assert in_one == AT_ONCE * 2 // (100_000 * 2 * 5 / (6 * 24)) == 4
    more = scenario(*daily, "world.users.n=100000", "world.items.live=5000", "world.candidates.k=320")
    assert np.diff(feed_calendar(more, AT_ONCE).bounds_ms).max() == 2 * 10 * 60_000


def test_where_a_monitor_watches_each_tick_is_taken_by_itself() -> None:
    watched = scenario("arms.1.learner.monitor={}")
    assert feed_calendar(watched, AT_ONCE).ticks == feed_calendar(watched, 0).ticks
