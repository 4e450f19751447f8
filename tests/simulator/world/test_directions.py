"""Each knob moves the world the way its name says: the larger value gives the larger statistic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from simulator.world import DAY_MS, EPOCH_MS, World, WorldConfig
from simulator.world.items import Items

TICK_MS = 3_600_000
SLATE = 8
FLAT = {"choice.looking": {"eta": 0}, "noise.accidental": 0.0}  # what is clicked is what is liked


def world(settings: dict[str, Any]) -> World:
    raw: dict[str, Any] = {"users": {"n": 2000, "requests_per_day": 3}, "items": {"live": 300, "topics": 8}}
    for path, value in settings.items():
        *sections, key = path.split(".")
        place = raw
        for section in sections:
            place = place.setdefault(section, {})
        place[key] = value
    return World(WorldConfig.model_validate(raw), 1, TICK_MS, SLATE)


def alive_at(w: World, now_ms: int) -> Items:
    return w.items.between(now_ms, now_ms)


def logits(w: World) -> np.ndarray:
    """Of clicks on random candidates, at noon."""
    tick = w.tick(12)
    p = tick.expected_clicks(np.tile(np.arange(SLATE), (len(tick.user), 1)))
    return np.log(p / (1 - p))


def spread_of_liking(w: World) -> float:
    return float(logits(w).std())


def share_of_busiest(w: World) -> float:
    users = np.concatenate([w.tick(t).user for t in range(48)])
    counts = np.sort(np.bincount(users, minlength=w.n_users))
    return float(counts[-20:].sum() / counts.sum())


def requests(w: World) -> float:
    return float(sum(len(w.tick(t).user) for t in range(48)))


def weekend_over_week(w: World) -> float:
    by_day = np.array([sum(len(w.tick(24 * d + t).user) for t in range(0, 24, 4)) for d in range(7)])
    return float(by_day[5:].mean() / by_day[:5].mean())


def busiest_over_quietest_hour(w: World) -> float:
    by_hour = np.array([sum(len(w.tick(24 * d + h).user) for d in range(2)) for h in range(24)])
    return float(by_hour.max() / max(by_hour.min(), 1))


def share_before_noon(w: World) -> float:
    return float(sum(len(w.tick(t).user) for t in range(6, 12)) / sum(len(w.tick(t).user) for t in range(24)))


def requests_soon_after_another(w: World) -> float:
    tick = w.tick(19)
    order = np.lexsort((tick.time_ms, tick.user))
    same = tick.user[order][1:] == tick.user[order][:-1]
    return float((same & (np.diff(tick.time_ms[order]) < 300_000)).mean())


def share_away(w: World) -> float:
    return float(np.mean([w.users.is_away(day).mean() for day in range(30)]))


def stays_away(w: World) -> float:
    days = np.array([w.users.is_away(day) for day in range(60)])
    return float((days[1:] & days[:-1]).sum() / days[:-1].sum())


def live_items(w: World) -> float:
    return float(np.mean([len(alive_at(w, EPOCH_MS + t * TICK_MS)) for t in range(0, 240, 24)]))


def turnover(w: World) -> float:
    """Share of items that are gone after two days; a long life has little of it."""
    return float(1 - np.isin(alive_at(w, EPOCH_MS).ids, alive_at(w, EPOCH_MS + 2 * DAY_MS).ids).mean())


def topics(w: World) -> float:
    return float(len(np.unique(w.tick(0).item_features["topic"])))


def spread_within_topics(w: World) -> float:
    items = alive_at(w, EPOCH_MS)
    return float(np.mean([items.vectors[items.topic == t].std(0).mean() for t in range(8)]))


def concentration(w: World) -> float:
    """Share of the candidate slots that the tenth most retrieved items get."""
    counts = np.zeros(300_000)
    for t in range(0, 24, 3):
        tick = w.tick(t)
        counts += np.bincount(tick.item_ids[tick.candidates].ravel(), minlength=len(counts))
    counts = np.sort(counts[counts > 0])
    return float(counts[-len(counts) // 10 :].sum() / counts.sum())


def likeness_of_candidates(w: World) -> float:
    """Mean taste × item over the candidates, which retrieval raises where it follows the segment's topics."""
    tick = w.tick(12)
    items = w.items_at(12)
    vectors = items.vectors[np.searchsorted(items.ids, tick.item_ids)][tick.candidates]
    return float(np.einsum("rd,rkd->rk", w.users.tastes[tick.user], vectors).mean())


def gain_of_the_young(w: World) -> float:
    tick = w.tick(12)
    start_ms = int(tick.start_ms[0])
    items = alive_at(w, start_ms)
    age_h = (start_ms - items.birth_ms) / 3_600_000
    gain = items.freshness(start_ms, w.config.items)
    return float(gain[age_h < 12].mean() - gain[age_h > 48].mean())


def gain_after_two_days(w: World) -> float:
    now = EPOCH_MS + DAY_MS * 20
    items = alive_at(w, now)
    ages = (now - items.birth_ms) / DAY_MS
    gain = items.freshness(now, w.config.items)
    return float(gain[(ages > 1.5) & (ages < 2.5)].mean() / gain.max())


def least_likely_click(w: World) -> float:
    tick = w.tick(12)
    return float(tick.expected_clicks(np.tile(np.arange(SLATE), (len(tick.user), 1))).min())


def last_over_first_position(w: World) -> float:
    tick = w.tick(12)
    p = tick.expected_clicks(np.argsort(np.random.default_rng(0).random((len(tick.user), 30)), axis=1)[:, :SLATE])
    return float(p[:, -1].mean() / p[:, 0].mean())


def mean_delay(w: World) -> float:
    found = []
    for t in range(24):
        tick = w.tick(t)
        response = tick.respond(np.tile(np.arange(SLATE), (len(tick.user), 1)))
        rows, _ = np.nonzero(response.click)
        found.append(response.click_time_ms[response.click] - tick.time_ms[rows])
    return float(np.concatenate(found).mean())


def ctr(w: World) -> float:
    tick = w.tick(12)
    return float(tick.expected_clicks(np.tile(np.arange(SLATE), (len(tick.user), 1))).mean())


def bots(w: World) -> float:
    return float(w.segments()["is_bot"].mean())


CASCADE = {"examination": "cascade"}
# knob → (a smaller value, a larger one, what must rise with it, other settings).
DIRECTIONS: dict[str, tuple[Any, Any, Callable[[World], float], dict[str, Any]]] = {
    "ctr": (0.05, 0.15, ctr, {}),
    "users.n": (1000, 2000, requests, {}),
    "users.requests_per_day": (1, 3, requests, {}),
    "users.activity_sigma": (0.2, 1.5, share_of_busiest, {}),
    "users.away_share": (0.05, 0.4, share_away, {}),
    "users.away_days": (1, 6, stays_away, {"users.away_share": 0.2}),
    "users.observed_share": (0.05, 0.95, likeness_of_candidates, {"candidates.topic_share": 1.0, "candidates.popularity_share": 0.0}),
    "items.live": (200, 600, live_items, {}),
    "items.lifetime_days": (8, 1, turnover, {}),  # the longer the life, the smaller the turnover
    "items.topics": (4, 16, topics, {}),
    "items.topic_spread": (0.1, 2, spread_within_topics, {}),
    "items.quality_sigma": (0.1, 2, spread_of_liking, FLAT),
    "items.freshness": (0.1, 2, gain_of_the_young, {}),
    "items.freshness_half_life_hours": (12, 96, gain_after_two_days, {}),
    "items.popularity_sigma": (0.1, 2, concentration, {}),
    "arrivals.daily_swing": (0.0, 0.9, busiest_over_quietest_hour, {}),
    "arrivals.peak_hour": (20, 9, share_before_noon, {}),
    "arrivals.weekend_factor": (0.5, 2, weekend_over_week, {}),
    "arrivals.session_requests": (1, 4, requests_soon_after_another, {}),
    "choice.taste": (0.2, 3, spread_of_liking, FLAT),
    "choice.context": (0.0, 2, spread_of_liking, FLAT),
    "choice.looking.eta": (1.5, 0.1, last_over_first_position, {}),  # the steeper, the less at the bottom
    "choice.looking.go_on": (0.5, 0.95, last_over_first_position, {"choice.looking": CASCADE}),
    "choice.looking.go_on_after_click": (0.0, 1.0, last_over_first_position, {"choice.looking": CASCADE, "ctr": 0.11}),
    "noise.accidental": (0.0, 0.02, least_likely_click, {}),
    "noise.bot_share": (0.0, 0.2, bots, {}),
    "delay.median_minutes": (2, 20, mean_delay, {}),
    "delay.sigma": (0.1, 1.5, mean_delay, {}),  # a lognormal's mean is exp(sigma² / 2) medians
    "candidates.topic_share": (0.0, 0.9, likeness_of_candidates, {"candidates.popularity_share": 0.1}),
    "candidates.popularity_share": (0.0, 0.9, concentration, {"candidates.topic_share": 0.1}),
}  # fmt: skip


@pytest.mark.parametrize("knob", DIRECTIONS)
def test_the_knob_moves_the_world_in_its_direction(knob: str) -> None:
    small, large, statistic, others = DIRECTIONS[knob]
    less, more = (statistic(world({**_copy(others), knob: value})) for value in (small, large))
    assert more > less * 1.05 + 1e-4, (less, more)


def _copy(settings: dict[str, Any]) -> dict[str, Any]:
    return {path: dict(value) if isinstance(value, dict) else value for path, value in settings.items()}


def test_tastes_have_the_stated_dimensions() -> None:
    for d in (3, 12):
        w = world({"users.taste_dimensions": d})
        assert w.users.tastes.shape[1] == d and alive_at(w, EPOCH_MS).vectors.shape[1] == d


def test_an_item_pool_that_goes_back_in_time_is_the_same_as_one_that_never_left() -> None:
    w = world({})
    first = w.tick(5)
    w.tick(300)
    w.tick(6)
    again = w.tick(5)
    assert np.array_equal(first.item_ids, again.item_ids) and np.array_equal(first.candidates, again.candidates)
    fresh, moved = alive_at(world({}), EPOCH_MS + 10 * DAY_MS), w
    for day in (8, 9, 10):
        live = alive_at(moved, EPOCH_MS + day * DAY_MS)
    assert all(np.array_equal(getattr(live, name), getattr(fresh, name)) for name in ("ids", "vectors", "quality"))
