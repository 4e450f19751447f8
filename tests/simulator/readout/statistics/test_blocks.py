"""Differences over blocks of time: against scipy and naive loops, and how often their intervals hold the truth."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from simulator.readout.statistics.blocks import METRICS, Blocks, Measured, difference
from simulator.readout.statistics.estimate import Difference

TESTS = 400


def blocks(**columns: Any) -> Blocks:
    """Blocks of which only some columns matter."""
    n = len(next(iter(columns.values())))
    given_ = {name: np.asarray(values, dtype=float) for name, values in columns.items()}
    return Blocks(**({name: np.ones(n) for name in Blocks._fields} | {"day": np.zeros(n)} | given_))


def of(metric: str, control: Blocks, treatment: Blocks) -> Difference:
    return difference(METRICS[metric](control), METRICS[metric](treatment))


def covered(pairs: list[tuple[Difference, float]]) -> int:
    return sum(found.lo <= truth <= found.hi for found, truth in pairs)


def neighbours(rng: np.random.Generator, n: int, alike: float) -> np.ndarray:
    """Normal draws with this correlation between one and the next."""
    drawn = rng.normal(size=n)
    for i in range(1, n):
        drawn[i] = alike * drawn[i - 1] + math.sqrt(1 - alike**2) * drawn[i]
    return drawn


def test_of_blocks_alike_in_size_the_interval_is_that_of_a_paired_t_test() -> None:
    rng = np.random.default_rng(4)
    control, treatment = rng.normal(0.7, 0.05, 12), rng.normal(0.71, 0.05, 12)
    pair = [blocks(weight=np.full(12, 50), cross_entropy=50 * one) for one in (control, treatment)]
    found, expected = of("logloss", *pair), scipy.stats.ttest_rel(treatment, control)
    assert found.p == pytest.approx(expected.pvalue) and found.mean == pytest.approx((treatment - control).mean())
    assert (found.lo, found.hi) == pytest.approx(tuple(expected.confidence_interval()))


def test_of_days_with_a_block_each_it_is_one_across_days_whatever_the_metric() -> None:
    rng = np.random.default_rng(5)
    auc = rng.normal(0.7, 0.02, (2, 10))
    alone = {"day": np.arange(10), "weight": np.full(10, 9), "auc_without": np.full(10, math.nan)}
    found = of("auc", *(blocks(**alone, auc=one) for one in auc))
    expected = scipy.stats.ttest_rel(auc[1], auc[0])
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.lo, found.hi) == pytest.approx(tuple(expected.confidence_interval()))


def rows(rng: np.random.Generator, n: int, gain: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels [n], and scores of two arms that see them alike: one the other's with `gain` more of the label in it.

    A score of gain g has an AUC of Φ(g / √2).
    """
    label = rng.random(n) < 0.3
    noise = rng.normal(size=(2, n))
    return label, 0.8 * label + noise[0], (0.8 + gain) * label + 0.9 * noise[0] + math.sqrt(0.19) * noise[1]


def area(label: np.ndarray, score: np.ndarray) -> float:
    """The AUC, as the share of pairs in order (Mann and Whitney)."""
    clicks = int(label.sum())
    ranks = float(scipy.stats.rankdata(score)[label].sum())
    return (ranks - clicks * (clicks + 1) / 2) / (clicks * (len(label) - clicks))


def areas(label: np.ndarray, score: np.ndarray, cuts: np.ndarray, day: np.ndarray) -> Blocks:
    """One arm's blocks. cuts: where each begins. day: of each block."""
    block = np.searchsorted(cuts, np.arange(len(label)), side="right") - 1
    whole, rest = np.empty(len(cuts)), np.empty(len(cuts))
    for i in range(len(cuts)):
        today = day[block] == day[i]
        whole[i] = area(label[today], score[today])
        rest[i] = area(label[today & (block != i)], score[today & (block != i)])
    return blocks(day=day, weight=np.bincount(block), auc=whole, auc_without=rest)


def test_the_errors_of_an_auc_are_those_of_a_jackknife_done_by_hand() -> None:
    rng = np.random.default_rng(6)
    label, score, _ = rows(rng, 900, 0.2)
    day = np.array([0, 0, 0, 0, 1, 1, 1])
    arm = areas(label, score, np.array([0, 100, 180, 300, 420, 600, 660]), day)
    found = METRICS["auc"](arm)
    weight = arm.weight
    assert found.value == pytest.approx(sum(w * a for w, a in zip(weight, arm.auc, strict=True)) / 900)
    expected = []
    for i in range(7):
        today = [k for k in range(7) if day[k] == day[i]]
        total = sum(weight[k] for k in today)
        pseudo = {k: total / weight[k] * arm.auc[k] - (total / weight[k] - 1) * arm.auc_without[k] for k in today}
        bias = sum(weight[k] * pseudo[k] for k in today) / total - arm.auc[i]
        expected.append(weight[i] / 900 * (pseudo[i] - bias - found.value))
    assert found.errors == pytest.approx(np.array(expected)) and found.errors.sum() == pytest.approx(0, abs=1e-12)


@given(st.lists(st.tuples(st.integers(1, 50), st.floats(0, 1)), min_size=2, max_size=30))
def test_the_jackknife_of_a_mean_gives_the_errors_of_a_ratio_of_sums(parts: list[tuple[int, float]]) -> None:
    weight, value = (np.array(column, dtype=float) for column in zip(*parts, strict=True))
    total = weight.sum()
    mean = float(weight @ value) / total
    without = (total * mean - weight * value) / (total - weight)
    jackknife = METRICS["auc"](blocks(weight=weight, auc=np.full(len(weight), mean), auc_without=without))
    assert jackknife.value == pytest.approx(mean)
    assert jackknife.errors == pytest.approx(
        METRICS["logloss"](blocks(weight=weight, cross_entropy=weight * value)).errors, abs=1e-12
    )


@pytest.mark.parametrize("n, alike", [(5, 0.0), (24, 0.0), (130, 0.0), (130, 0.5), (600, 0.5)])
def test_the_interval_covers_the_true_difference_as_often_as_it_says(n: int, alike: float) -> None:
    rng = np.random.default_rng(n)
    pairs = []
    for _ in range(TESTS):
        weight = rng.integers(80, 120, n)
        control = rng.normal(0.5, 0.1, n)  # hours are harder or easier, for both alike
        treatment = control + 0.01 + 0.02 * neighbours(rng, n, alike)
        both = (blocks(weight=weight, cross_entropy=weight * one) for one in (control, treatment))
        pairs.append((of("logloss", *both), 0.01))
    # 95% of 400 is 380 ± 4.4; four standard errors either way.
    assert 362 <= covered(pairs) <= 398


def test_the_interval_of_an_auc_covers_the_true_difference_as_often_as_it_says() -> None:
    rng = np.random.default_rng(7)
    truth = float(np.subtract(*scipy.stats.norm.cdf(np.array([1.0, 0.8]) / math.sqrt(2))))
    cuts, day, pairs = np.arange(0, 600, 60), np.zeros(10), []
    for _ in range(200):
        label, control, treatment = rows(rng, 600, 0.2)
        arms = (areas(label, score, cuts, day) for score in (control, treatment))
        pairs.append((of("auc", *arms), truth))
    assert 178 <= covered(pairs) <= 200  # 190 ± 3.1; four standard errors either way


def test_blocks_that_are_alike_make_the_interval_wider_than_one_that_takes_every_event_for_a_draw() -> None:
    rng = np.random.default_rng(8)
    per_block = 100
    level = 0.02 * neighbours(rng, 200, 0.7)
    events = level[:, None] + rng.normal(0, 0.05, (200, per_block))
    naive = 1.96 * float(events.std()) / math.sqrt(events.size)
    weight = np.full(200, per_block)
    found = of(
        "logloss",
        blocks(weight=weight, cross_entropy=0 * weight),
        blocks(weight=weight, cross_entropy=events.sum(axis=1)),
    )
    single = 1.96 * float(events.mean(axis=1).std()) / math.sqrt(200)
    assert (found.hi - found.lo) / 2 > 1.5 * single > 3 * naive


def test_what_both_arms_met_alike_does_not_widen_the_interval() -> None:
    rng = np.random.default_rng(9)
    hours, apart, weight = rng.normal(0.5, 0.2, 24), rng.normal(0.01, 0.001, 24), np.full(24, 10)
    paired = of(
        "logloss",
        blocks(weight=weight, cross_entropy=10 * hours),
        blocks(weight=weight, cross_entropy=10 * (hours + apart)),
    )
    assert paired.hi - paired.lo < 0.002 and paired.lo < 0.01 < paired.hi


errors = st.lists(st.floats(-1, 1), min_size=0, max_size=40)


@given(errors, st.floats(-1, 1))
def test_a_difference_is_defined_as_a_whole_or_not_at_all_and_turns_round_with_the_arms(
    some: list[float], value: float
) -> None:
    centred = np.array(some) - np.mean(some) if some else np.zeros(0)
    one, other = Measured(0.5, np.zeros(len(some))), Measured(0.5 + value, centred)
    found, turned = difference(one, other), difference(other, one)
    if math.isnan(found.mean):
        assert all(math.isnan(number) for number in (*found, *turned)) and str(found) == "-"
        return
    assert found.lo <= found.mean <= found.hi and 0 <= found.p <= 1
    assert found == pytest.approx((-turned.mean, -turned.hi, -turned.lo, turned.p), abs=1e-12)


def test_arms_that_are_one_and_the_same_do_not_differ_and_blocks_that_all_differ_alike_say_nothing() -> None:
    some = blocks(weight=[10, 12, 9], cross_entropy=[1, 7, 3])
    more = some._replace(cross_entropy=some.cross_entropy + 0.1 * some.weight)
    assert of("logloss", some, some) == (0, 0, 0, 1)
    assert math.isnan(of("logloss", some, more).mean) and math.isnan(
        of("logloss", some.part(np.arange(1)), more.part(np.arange(1))).mean
    )


def test_what_is_not_defined_is_undefined_and_no_block_of_weight_0_counts() -> None:
    nothing = blocks(labels=[0, 0], predictions=[1, 2])
    assert math.isnan(of("calibration", nothing, nothing).mean)
    arm = blocks(weight=[5, 0, 8], auc=[0.7] * 3, auc_without=[0.6, 0, 0.75])
    found = METRICS["auc"](arm)
    assert found.errors[1] == 0 and found.errors[0] == pytest.approx(-found.errors[2]) != 0
    assert math.isnan(METRICS["auc"](arm._replace(weight=np.zeros(3))).value)


def test_a_day_of_which_one_block_holds_all_clicks_has_no_interval_of_its_auc() -> None:
    control, treatment = (blocks(auc=[auc] * 3, auc_without=[0.6, math.nan, 0.7]) for auc in (0.6, 0.7))
    assert math.isnan(of("auc", control, treatment).mean)
