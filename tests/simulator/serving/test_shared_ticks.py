"""Servers that share ticks see what each would see alone."""

from __future__ import annotations

import numpy as np

from simulator.experiment.calendar import Calendar
from simulator.serving.shared_ticks import SharedTicks
from simulator.world import DAY_MS, EPOCH_MS, Tick, World, WorldConfig

HOUR_MS = 3_600_000
HOURS = Calendar.regular(
    start_ms=EPOCH_MS, tick_ms=HOUR_MS, day_ms=DAY_MS, days={"warmup": 0, "aa": 1, "ab": 1}, attribution_ms=HOUR_MS
)


def world() -> World:
    return World(WorldConfig.model_validate({"users": {"n": 900}, "items": {"live": 200}}), 4, HOUR_MS, 5)


def same(one: Tick, other: Tick) -> bool:
    columns = ("user", "request_id", "time_ms", "item_ids", "candidates")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in columns)


def test_each_server_is_given_its_users_requests_and_candidates() -> None:
    alone, ticks = world(), SharedTicks(world(), HOURS)
    groups = [np.arange(900) % 3 == arm for arm in range(3)]
    for group in groups:
        ticks.join(group)
    for number in (5, 6, 40, 6):  # as after a restart, when one lies behind
        for group in groups:
            assert same(ticks.at(number, group), alone.tick(number, group))


def test_a_tick_of_the_run_may_be_several_of_the_world() -> None:
    alone, ticks = world(), SharedTicks(world(), HOURS.joined(np.array([0, 2, 6, 48])))
    some = np.arange(900) % 2 == 0
    ticks.join(some)
    assert same(ticks.at(1, some), alone.ticks(2, 6, some))


def test_who_has_left_is_not_drawn_any_more() -> None:
    ticks = SharedTicks(world(), HOURS)
    one, other = np.arange(900) < 450, np.arange(900) >= 450
    ticks.join(one)
    ticks.join(other)
    ticks.at(3, one)
    assert len(ticks.at(3, other).user) and ticks._latest is not None
    ticks.leave(other)
    ticks.at(3, one)
    assert ticks._latest[1].user.max() < 450
