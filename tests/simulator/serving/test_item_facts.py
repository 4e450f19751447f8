"""What is known of items, against what the world shows in each of its ticks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from simulator.experiment.calendar import Calendar
from simulator.serving.item_facts import MOST_KNOWN, ItemFacts
from simulator.world import DAY_MS, EPOCH_MS, World, WorldConfig
from simulator.world.items import age_bucket

DAYS = 3


def made(tick_ms: int, **items: Any) -> tuple[World, Calendar, ItemFacts]:
    config = WorldConfig.model_validate({"users": {"n": 200}, "items": {"live": 90, "lifetime_days": 0.7, **items}})
    days: Any = {"warmup": 1, "aa": 1, "ab": 1}
    calendar = Calendar.regular(
        start_ms=EPOCH_MS, tick_ms=tick_ms, day_ms=DAY_MS, days=days, attribution_ms=DAY_MS // 24
    )
    world = World(config, 3, tick_ms, 5)
    return world, calendar, ItemFacts(world.items, config.items.topics, tick_ms)


@pytest.mark.parametrize("minutes", [5, 60, 360, 1440])
def test_topics_newness_and_the_living_are_those_of_the_ticks(minutes: int) -> None:
    tick_ms = minutes * 60_000
    world, calendar, facts = made(tick_ms)
    rng = np.random.default_rng(1)
    living: list[set[int]] = [set() for _ in range(DAYS)]
    shown: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for number in range(calendar.serving_ticks):
        start_ms, held = int(calendar.bounds_ms[number]), world.items_at(number)
        items = held.take(np.flatnonzero(held.alive(start_ms)))
        living[calendar.day_of_tick(number)].update(items.ids.tolist())
        rows = rng.integers(0, len(items), 8)
        time_ms = start_ms + rng.integers(0, tick_ms, 8)
        new = age_bucket(items.birth_ms[rows], start_ms) == 0
        assert facts.topic(items.ids[rows]).tolist() == items.topic[rows].tolist()
        assert facts.is_new(items.ids[rows], time_ms).tolist() == new.tolist()
        shown.append((items.ids[rows], time_ms, new))
    everything, times, new = (np.concatenate(column) for column in zip(*shown, strict=True))
    assert facts.is_new(everything, times).tolist() == new.tolist()  # of several ticks at once
    assert minutes == 1440 or 0 < new.sum() < len(new)
    assert [facts.live(day) for day in range(DAYS)] == [len(ids) for ids in living]


def test_topics_of_items_that_lie_far_apart_are_theirs_too() -> None:
    world, _, facts = made(3_600_000)
    ids = np.array([3, MOST_KNOWN + 5, 7])
    assert (
        facts.topic(ids).tolist()
        == world.items.topic(ids).tolist()
        == [int(facts.topic(ids[i : i + 1])[0]) for i in range(3)]
    )


def test_of_no_rows_nothing_is_said() -> None:
    _, _, facts = made(3_600_000)
    nothing = np.zeros(0, dtype=np.int64)
    assert facts.topic(nothing).tolist() == facts.is_new(nothing, nothing).tolist() == []
