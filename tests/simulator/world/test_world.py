"""The world against its own parameters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.stats

from simulator.world import DAY_MS, EPOCH_MS, World, WorldConfig
from simulator.world.draws import normal, uniform

TICK_MS = 3_600_000
SLATE = 8


def world(seed: int = 1, **settings: Any) -> World:
    base: dict[str, Any] = {"users": {"n": 3000}, "items": {"live": 400, "topics": 8}}
    for key, value in settings.items():
        base[key] = {**base.get(key, {}), **value} if isinstance(value, dict) else value
    return World(WorldConfig.model_validate(base), seed, TICK_MS, SLATE)


def random_slates(w: World, ticks: range) -> list[tuple[Any, np.ndarray, Any]]:
    found = []
    for number in ticks:
        tick = w.tick(number)
        draws = np.random.default_rng(number).random(tick.candidates.shape)
        slates = np.argsort(draws, axis=1)[:, :SLATE]
        found.append((tick, slates, tick.respond(slates)))
    return found


def ctr(w: World, ticks: range = range(48)) -> float:
    clicks = np.concatenate([r.click.ravel() for _, _, r in random_slates(w, ticks)])
    return float(clicks.mean())


@pytest.mark.parametrize("looking", [{"examination": "position", "eta": 0.6}, {"examination": "cascade"}])
@pytest.mark.parametrize("target", [0.05, 0.2])
def test_the_base_rate_is_calibrated_to_ctr(looking: dict[str, Any], target: float) -> None:
    w = world(ctr=target, choice={"looking": looking}, noise={"bot_share": 0.02})
    assert ctr(w) == pytest.approx(target, rel=0.06)


def test_the_truth_is_the_mean_of_the_draws() -> None:
    for looking in ({"examination": "position"}, {"examination": "cascade"}):
        shown = random_slates(world(choice={"looking": looking}), range(72))
        click = np.concatenate([r.click for _, _, r in shown])
        probability = np.concatenate([r.probability for _, _, r in shown])
        for j in range(SLATE):
            spread = np.sqrt((probability[:, j] * (1 - probability[:, j])).sum())
            assert abs(click[:, j].sum() - probability[:, j].sum()) < 4 * spread


def test_click_rate_falls_with_position_as_stated() -> None:
    shown = random_slates(
        world(choice={"looking": {"examination": "position", "eta": 1.0}}, noise={"accidental": 0}), range(96)
    )
    rate = np.concatenate([r.click for _, _, r in shown]).mean(0)
    np.testing.assert_allclose(rate / rate[0], 1 / (1 + np.arange(SLATE)), atol=0.06)


def test_fresh_items_are_clicked_more_and_the_gain_halves_on_time() -> None:
    w = world(items={"freshness": 1.5, "freshness_half_life_hours": 24.0})
    items = w.items.between(EPOCH_MS, EPOCH_MS)
    gain = items.freshness(EPOCH_MS, w.config.items)
    later = items.freshness(EPOCH_MS + DAY_MS, w.config.items)
    np.testing.assert_allclose(later, gain / 2)
    shown = random_slates(w, range(48))
    young, old = [], []
    for tick, slates, response in shown:
        band = tick.item_features["age_bucket"][np.take_along_axis(tick.candidates, slates, 1)]
        young.append(response.click[band <= 2])
        old.append(response.click[band >= 6])
    assert np.concatenate(young).mean() > 1.3 * np.concatenate(old).mean()


def test_popular_items_are_retrieved_more_often() -> None:
    w = world(candidates={"topic_share": 0.0, "popularity_share": 0.9})
    tick = w.tick(20)
    start_ms = int(tick.start_ms[0])
    items = w.items.between(start_ms, start_ms)
    counts = np.bincount(np.searchsorted(items.ids, tick.item_ids[tick.candidates]).ravel(), minlength=len(items))
    popularity = items.log_popularity
    assert scipy.stats.spearmanr(counts, popularity).statistic > 0.8


def test_segments_meet_their_topics_more_often() -> None:
    def spread(topic_share: float) -> float:
        w = world(candidates={"topic_share": topic_share, "popularity_share": 0.0})
        tick = w.tick(20)
        topics = tick.item_features["topic"][tick.candidates]
        segment = w.users.segment[tick.user]
        tables = [
            np.bincount(topics[segment == s].ravel(), minlength=8) / (segment == s).sum()
            for s in np.unique(segment)[:6]
        ]
        return float(np.std(tables, axis=0).mean())

    assert spread(1.0) > 2 * spread(0.0)


@pytest.mark.parametrize("k", [1, 12, 60])
def test_candidates_are_distinct_and_alive(k: int) -> None:
    w = World(
        WorldConfig.model_validate(
            {"users": {"n": 2000}, "items": {"live": 150, "popularity_sigma": 3}, "candidates": {"k": k}}
        ),
        3,
        TICK_MS,
        1,
    )
    for number in range(20):
        tick = w.tick(number)
        ordered = np.sort(tick.candidates, axis=1)
        assert (ordered[:, 1:] > ordered[:, :-1]).all()
        assert tick.candidates.min() >= 0 and tick.candidates.max() < len(tick.item_ids)


def test_a_part_of_the_users_sees_the_same_as_it_does_among_all() -> None:
    w = world()
    chosen = np.arange(w.n_users) % 3 == 0
    part, whole = w.tick(30, chosen), world().tick(30)
    rows = chosen[whole.user]
    assert np.array_equal(part.request_id, whole.request_id[rows])
    taken = whole.take(rows)
    for other in (part, taken):
        assert np.array_equal(other.item_ids[other.candidates], whole.item_ids[whole.candidates[rows]])
    assert all(np.array_equal(part.request_features[name], taken.request_features[name]) for name in w.request_fields)
    slates = np.tile(np.arange(SLATE), (len(part.user), 1))
    all_slates = np.tile(np.arange(SLATE), (len(whole.user), 1))
    shown = whole.respond(all_slates)
    for one in (part.respond(slates), taken.respond(slates)):
        assert np.array_equal(one.click, shown.click[rows])
        assert np.array_equal(one.click_time_ms, shown.click_time_ms[rows])


@pytest.mark.parametrize("first, end", [(0, 24), (30, 37)])
def test_several_ticks_at_once_are_those_ticks_one_after_the_other(first: int, end: int) -> None:
    drift = [
        {"kind": "gradual", "target": "taste", "magnitude": 0.6, "start_day": 0, "end_day": 2},
        {"kind": "sudden", "target": "base_rate", "magnitude": 0.5, "day": 1.4},
        {"kind": "recurring", "target": "popularity", "magnitude": 0.5, "period_days": 1},
    ]
    w = world(drift=drift)
    whole, parts = w.ticks(first, end), [w.tick(number) for number in range(first, end)]
    before = 0
    for part in parts:
        rows = np.arange(before, before := before + len(part.user))
        for one in (whole.take(rows), part):
            for name in ("start_ms", "user", "sequence", "request_id", "time_ms"):
                assert np.array_equal(getattr(whole, name)[rows], getattr(one, name))
            assert all(
                np.array_equal(whole.request_features[n][rows], one.request_features[n]) for n in w.request_fields
            )
            for name in w.item_fields:  # also of an item that has come into another age bucket meanwhile
                found = whole.item_features[name][whole.candidates[rows]]
                assert np.array_equal(found, one.item_features[name][one.candidates])
            assert np.array_equal(whole.attractiveness()[rows], one.attractiveness())
            slates = np.tile(np.arange(SLATE), (len(whole.user), 1))
            of_whole, of_one = whole.show(slates).respond(rows), one.respond(slates[rows])
            assert np.array_equal(of_whole.click, of_one.click)
            assert np.array_equal(of_whole.click_time_ms, of_one.click_time_ms)
    assert before == len(whole.user)
    ids, bucket = whole.item_ids, whole.item_features["age_bucket"]
    pairs = set(zip(ids.tolist(), bucket.tolist(), strict=True))
    assert len(set(ids.tolist())) < len(pairs) == len(ids)


def test_ticks_in_which_different_items_are_held_are_not_taken_at_once() -> None:
    with pytest.raises(ValueError, match="items are held for 24 ticks"):
        world().ticks(20, 30)


def test_the_seed_decides_everything() -> None:
    one, same, other = world().tick(9), world().tick(9), world(seed=2).tick(9)
    assert np.array_equal(one.candidates, same.candidates) and np.array_equal(one.time_ms, same.time_ms)
    assert not np.array_equal(one.request_id, other.request_id)


def test_the_same_item_meets_the_same_luck_in_another_slot() -> None:
    tick = world(choice={"looking": {"examination": "position", "eta": 0.0}}).tick(20)
    forward = np.tile(np.arange(SLATE), (len(tick.user), 1))
    assert np.array_equal(tick.respond(forward).click, tick.respond(forward[:, ::-1]).click[:, ::-1])


def test_requests_a_day_are_as_many_as_stated() -> None:
    w = world(users={"n": 4000, "requests_per_day": 2.0})
    n = sum(len(w.tick(t).user) for t in range(24 * 14))
    assert n / 14 / 4000 == pytest.approx(2.0, rel=0.05)


def test_requests_follow_the_clock() -> None:
    w = world(arrivals={"peak_hour": 12.0, "daily_swing": 0.8, "weekend_factor": 2.0})
    by_tick = np.array([len(w.tick(t).user) for t in range(24 * 7)]).reshape(7, 24)
    assert by_tick[:, 11:13].sum() > 3 * by_tick[:, [23, 0]].sum()
    assert by_tick[5:].mean() == pytest.approx(2 * by_tick[:5].mean(), rel=0.15)


def test_items_are_born_and_die_at_the_stated_rate() -> None:
    w = world(items={"live": 1000, "lifetime_days": 4.0})
    sizes = [len(w.items.between(EPOCH_MS + day * DAY_MS, EPOCH_MS + day * DAY_MS).ids) for day in range(20)]
    assert np.mean(sizes) == pytest.approx(1000, rel=0.07)
    before, after = (
        set(w.items.between(EPOCH_MS, EPOCH_MS).ids.tolist()),
        set(w.items.between(EPOCH_MS + DAY_MS, EPOCH_MS + DAY_MS).ids.tolist()),
    )
    assert len(after - before) == pytest.approx(250 * 4 * (1 - np.exp(-0.25)), rel=0.2)
    assert len(before - after) == pytest.approx(1000 * (1 - np.exp(-0.25)), rel=0.2)


def test_users_away_come_back() -> None:
    w = world(users={"n": 5000, "away_share": 0.3, "away_days": 3.0})
    away = np.array([w.users.is_away(day) for day in range(60)])
    assert away.mean() == pytest.approx(0.3, abs=0.02)
    assert (away[1:] & away[:-1]).sum() / away[:-1].sum() > 0.6


def test_delays_are_distributed_as_stated() -> None:
    from simulator.world.config import DelayConfig
    from simulator.world.delay import click_delay_ms

    ids = np.arange(4000)
    log_normal = click_delay_ms(DelayConfig(median_minutes=5, sigma=0.7), 1, ids, ids) / 60_000
    assert scipy.stats.kstest(np.log(log_normal), "norm", (np.log(5), 0.7)).pvalue > 0.01
    exponential = click_delay_ms(DelayConfig(distribution="exponential", median_minutes=5), 1, ids, ids) / 60_000
    assert scipy.stats.kstest(exponential, "expon", (0, 5 / np.log(2))).pvalue > 0.01
    assert not click_delay_ms(DelayConfig(distribution="none"), 1, ids, ids).any()


@pytest.mark.parametrize(
    "settings",
    [{"sigma": 1.5}, {"sigma": 0}, {"distribution": "exponential"}, {"distribution": "none"}, {"median_minutes": 400}],
)
@pytest.mark.parametrize("minutes", [2, 3, 60, 1440])
def test_the_share_of_clicks_within_a_time_is_that_of_the_draws(settings: dict[str, Any], minutes: int) -> None:
    from simulator.world.config import DelayConfig
    from simulator.world.delay import click_delay_ms, share_within

    config, ids = DelayConfig.model_validate({"median_minutes": 3} | settings), np.arange(20_000)
    drawn = click_delay_ms(config, 1, ids, ids) <= minutes * 60_000
    assert drawn.mean() == pytest.approx(share_within(config, minutes * 60_000), abs=0.015)


@pytest.mark.parametrize(
    "kind, before, there, after",
    [
        ({"kind": "sudden", "day": 1}, range(18, 24), range(24, 34), None),
        ({"kind": "gradual", "start_day": 0.5, "end_day": 1}, range(6, 12), range(24, 34), None),
        ({"kind": "recurring", "period_days": 2}, range(4), range(20, 28), range(46, 50)),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else None,
)
def test_drift_of_the_base_rate_moves_the_ctr_when_it_is_there_and_not_before_or_after(
    kind: dict[str, Any], before: range, there: range, after: range | None
) -> None:
    drifted = world(drift=[{"target": "base_rate", "magnitude": 1.0, **kind}])
    assert ctr(drifted, there) > 1.5 * ctr(world(), there)
    for quiet in (before, after):
        if quiet is not None:
            assert 0.95 * ctr(world(), quiet) < ctr(drifted, quiet) < 1.15 * ctr(world(), quiet)


@pytest.mark.parametrize("hour", [6, 18, 30])
def test_tastes_turn_by_the_drift_s_share_alike_for_all_users_or_a_few(hour: int) -> None:
    w = world(drift=[{"kind": "gradual", "target": "taste", "magnitude": 0.8, "start_day": 0.5, "end_day": 1}])
    share = {6: 0.0, 18: 0.4, 30: 0.8}[hour]
    turned = (np.sqrt(np.float32(1 - share)) * w.users.tastes + np.sqrt(np.float32(share)) * w.users.drifted).astype(
        np.float32
    )
    tick, items = w.tick(hour), w.items_at(hour)
    some = np.arange(w.n_users) % 3 == 0
    few = w.tick(hour, some)
    rows = np.full((len(tick.user), 1), 5)
    logits = w.logits(tick, items, rows)
    assert np.array_equal(w.logits(few, items, rows[: len(few.user)]), logits[some[tick.user]])
    match = (turned[tick.user] * items.vectors[5]).sum(1) * w.config.choice.taste / np.sqrt(turned.shape[1])
    hours = np.bincount(tick.request_features["hour"]).argmax()  # what the hour adds is the same within one
    same = tick.request_features["hour"] == hours
    assert np.ptp((logits[:, 0] - match)[same]) < 1e-5


def test_bots_click_whatever_they_see() -> None:
    w = world(ctr=0.25, noise={"bot_share": 0.3, "bot_click": 0.5})
    shown = random_slates(w, range(24))
    bots = w.segments()["is_bot"]
    by_bots = np.concatenate([r.click[bots[t.user]].ravel() for t, _, r in shown])
    assert by_bots.mean() == pytest.approx(0.5, abs=0.03)


def test_observed_attributes_tell_as_much_of_tastes_as_stated() -> None:
    for share in (0.0, 0.5, 1.0):
        users = world(users={"n": 20_000, "observed_share": share}).users
        told = users.segment_tastes("taste")[users.segment]
        explained = [np.corrcoef(told[:, d], users.tastes[:, d])[0, 1] ** 2 for d in range(8)]
        # The segments' tastes are few draws, so their own variance is only about one.
        assert np.mean(explained) == pytest.approx(share, abs=0.17)


def test_draws_are_uniform_and_independent_of_order() -> None:
    keys = np.arange(5000)
    draws = uniform(1, "x", keys)
    assert scipy.stats.kstest(draws, "uniform").pvalue > 0.01
    assert scipy.stats.kstest(normal(1, "x", keys), "norm").pvalue > 0.01
    assert np.array_equal(uniform(1, "x", keys[::-1])[::-1], draws)
    assert abs(np.corrcoef(draws, uniform(1, "y", keys))[0, 1]) < 0.05
    assert abs(np.corrcoef(draws[1:], draws[:-1])[0, 1]) < 0.05


def test_a_ctr_that_cannot_be_reached_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"world\.ctr: got 0\.01, .* can lie between"):
        world(ctr=0.01, noise={"accidental": 0.1})


def test_who_arrives_is_whose_draw_is_above_the_chance_of_no_visit() -> None:
    w = world(users={"n": 3000, "requests_per_day": 4.0, "away_share": 0.2})
    arrivals, chosen = w.arrivals, np.arange(3000) % 2 == 1
    for tick in (3, 20, 45):
        rate = arrivals._visits_per_tick * arrivals.rate_factor(EPOCH_MS + tick * TICK_MS + TICK_MS // 2)
        draws = uniform(1, "arrival", np.arange(3000), tick)
        come = np.flatnonzero((draws > np.exp(-rate)) & chosen & ~w.users.is_away(tick // 24))
        assert np.array_equal(np.unique(arrivals.at(tick, chosen).user), come)


@pytest.mark.parametrize(
    "keys",
    [
        (np.arange(-90, 210),),
        (np.arange(300)[:, None], np.arange(7)[None, :]),
        (np.arange(300)[:, None], np.arange(2100).reshape(300, 7)),
        (np.arange(300), 5, np.arange(300, dtype=np.int32) * 7919),
        (3, np.arange(300)[:, None]),
        (np.arange(300)[:, None], 4),
        (np.arange(300)[:, None], np.arange(300)[::-1, None], np.array([9]), np.arange(7)),
        (np.arange(60)[:, None, None], np.arange(5)[:, None], np.arange(3)),
    ],
    ids=str,
)
def test_many_draws_are_those_of_one_at_a_time(keys: tuple[Any, ...]) -> None:
    drawn = uniform(1, "x", *keys)
    broadcast = np.broadcast_arrays(*keys)
    assert drawn.shape == broadcast[0].shape
    rows = zip(*(column.ravel().tolist() for column in broadcast), strict=True)
    assert drawn.ravel().tolist() == [float(uniform(1, "x", *row)) for row in rows]
