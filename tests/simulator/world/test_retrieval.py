"""Candidates against the shares that the settings describe, and against worlds that come to a time by another way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from simulator.world import DAY_MS, EPOCH_MS, HOUR_MS
from simulator.world.config import CandidatesConfig, ItemsConfig
from simulator.world.draws import uniform
from simulator.world.items import ItemPool, Items
from simulator.world.retrieval import Retrieval

SEGMENTS = 5
STARTS = 4000  # requests whose starts are spread evenly, so that shares of theirs are true to one of them
SEED = 11


def made(live: int, topics: int = 7, lifetime_days: float = 5.0, **candidates: Any) -> tuple[ItemPool, Retrieval]:
    settings = {"live": live, "topics": topics, "lifetime_days": lifetime_days}
    settings |= {name: candidates.pop(name) for name in ("popularity_sigma",) if name in candidates}
    affinity = np.random.default_rng(3).normal(size=(SEGMENTS, topics))
    config = CandidatesConfig.model_validate(candidates)
    return ItemPool(ItemsConfig.model_validate(settings), 2, SEED), Retrieval(config, affinity, live, SEED)


def span_of(pool: ItemPool, day: int) -> Items:
    return pool.between(EPOCH_MS + day * DAY_MS, EPOCH_MS + (day + 1) * DAY_MS - HOUR_MS)


def inclusion(weights: np.ndarray, k: int) -> np.ndarray:
    """How often each item is among k candidates: in proportion to the weights, at most always."""
    often = k * weights / weights.sum()
    while (often > 1 + 1e-12).any():
        capped = often >= 1
        often = np.where(capped, 1.0, often * (k - capped.sum()) / often[~capped].sum())
    return often


@pytest.mark.parametrize(
    "settings",
    [
        {"live": 400, "k": 30},
        {"live": 150, "popularity_sigma": 3, "k": 60},
        {"live": 300, "topics": 1, "k": 20},
        {"live": 200, "topics": 90, "k": 40, "topic_share": 1.0, "popularity_share": 0.0},
        {"live": 9000, "popularity_sigma": 2, "k": 100, "topic_share": 0.0, "popularity_share": 1.0},
        {"live": 60, "k": 25, "topic_share": 0.2, "popularity_share": 0.1},
    ],
    ids=str,
)
@pytest.mark.parametrize("drift", [0.0, 0.5])
def test_items_are_drawn_as_often_as_their_shares_say(
    settings: dict[str, Any], drift: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    from simulator.world import retrieval

    def evenly(seed: int, purpose: str, *keys: Any) -> np.ndarray:
        return (keys[0] + 0.5) / STARTS if purpose == "retrieval/start" else uniform(seed, purpose, *keys)

    monkeypatch.setattr(retrieval, "uniform", evenly)
    pool, drawn = made(**settings)
    config, items = drawn._config, span_of(pool, 0)
    for hour, segment in ((5, 0), (6, 2), (19, 4), (3, 1)):
        now_ms = EPOCH_MS + hour * HOUR_MS
        requests = np.arange(STARTS)
        rows = drawn.at(hour, now_ms, items, drift, np.full(STARTS, segment), requests)
        alive = items.alive(now_ms)
        assert alive[rows].all() and (np.diff(np.sort(rows, axis=1), axis=1) > 0).all()
        liking = drawn._liking[segment, items.topic] * alive
        log_popularity = (1 - drift) * items.log_popularity + drift * items.log_popularity_drifted
        popularity = np.exp(log_popularity).astype(np.float32) * alive
        explore = max(1 - config.topic_share - config.popularity_share, 0) + 1e-9
        weights = config.topic_share * liking / liking.sum() + config.popularity_share * popularity / popularity.sum()
        often = inclusion(weights + explore * alive / alive.sum(), config.k)
        assert np.abs(np.bincount(rows.ravel(), minlength=len(items)) / STARTS - often).max() < 1.001 / STARTS


@pytest.mark.parametrize("live", [500, 9000])
def test_candidates_do_not_depend_on_the_ticks_that_were_asked_for_before(live: int) -> None:
    def candidates(pool: ItemPool, drawn: Retrieval, hour: int) -> np.ndarray:
        items = span_of(pool, hour // 24)
        drift = hour % 5 / 8
        rows = drawn.at(hour, EPOCH_MS + hour * HOUR_MS, items, drift, np.arange(90) % SEGMENTS, np.arange(90))
        return items.ids[rows]

    settings: dict[str, Any] = {"live": live, "k": 12, "lifetime_days": 0.5}
    fresh = {hour: candidates(*made(**settings), hour) for hour in (3, 4, 11, 25, 73)}
    pool, drawn = made(**settings)
    for hour in (3, 4, 11, 25, 26, 73, 11, 4, 3):
        found = candidates(pool, drawn, hour)
        assert hour not in fresh or np.array_equal(found, fresh[hour])
    assert not np.array_equal(fresh[3], fresh[4])


def test_neighbours_in_one_tick_are_others_in_the_next() -> None:
    """Which items come together is not fixed: a start draws another set in each tick, also of items of one topic."""
    pool, drawn = made(live=1000, topics=1, k=10)
    items, request = span_of(pool, 0), np.array([5])
    sets = [set(drawn.at(h, EPOCH_MS, items, 0.0, np.array([0]), request)[0].tolist()) for h in range(2)]
    assert len(sets[0] & sets[1]) <= 3


def test_too_few_items_alive_is_an_error_that_names_the_setting() -> None:
    pool, drawn = made(live=30, k=15)
    few = span_of(pool, 0).take(np.arange(14))
    with pytest.raises(ValueError, match=r"world\.items\.live: only \d+ items are alive in tick 0, fewer than"):
        drawn.at(0, EPOCH_MS, few, 0.0, np.array([0]), np.array([1]))


def test_an_item_that_rounding_hits_twice_gives_way_to_another_living_one() -> None:
    from simulator.world.retrieval_kernels import _make_distinct

    places, popularity = np.array([4, 4, 4, 0, 0]), np.array([1, -1, 2, 1, 1, 3, 1], dtype=np.float32)
    _make_distinct(places, popularity)
    assert places[0] == 4 and len(set(places.tolist())) == 5 and (popularity[places] > 0).all()
