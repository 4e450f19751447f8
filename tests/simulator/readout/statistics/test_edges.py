"""Statistics where there is next to nothing: undefined or honest, never an exception, a warning or half a result."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.readout.statistics.ctr import ctr_interval
from simulator.readout.statistics.estimate import UNDEFINED, Estimate
from simulator.readout.statistics.sample_ratio import srm
from simulator.readout.statistics.uplift import ab_minus_aa, cuped, raw
from simulator.readout.statistics.users import UserSums

Estimator = Callable[[UserSums, UserSums], Estimate]
ESTIMATORS: tuple[Estimator, ...] = (raw, cuped, ab_minus_aa)


def users(shown: list[int], clicks: list[int], before: tuple[list[int], list[int]] | None = None) -> UserSums:
    columns = (shown, clicks, *(before or (shown, clicks)))
    return UserSums(*(np.array(column, dtype=float) for column in columns))


@st.composite
def arms(draw: st.DrawFn) -> UserSums:
    """Few users: some seen first in A/B, or with the same sums as before, or all of one CTR; 1 exposure, or thousands."""
    most = draw(st.sampled_from([1, 3, 10, 5000]))
    rate = draw(st.sampled_from(["any", "none", "all", "one"]))

    def period(least: int) -> tuple[list[int], list[int]]:
        shown = draw(st.lists(st.integers(least, most), min_size=n, max_size=n))
        if rate == "one":
            return [8 * s for s in shown], shown
        return shown, [0 if rate == "none" else s if rate == "all" else draw(st.integers(0, s)) for s in shown]

    n = draw(st.integers(0, 5))
    now = period(1)
    return users(*now, now if draw(st.booleans()) else period(0))


@settings(max_examples=150, deadline=None)
@given(arms(), arms())
def test_an_uplift_is_defined_as_a_whole_or_not_at_all(control: UserSums, treatment: UserSums) -> None:
    for estimator in ESTIMATORS:
        found, turned = estimator(control, treatment), estimator(treatment, control)
        if math.isnan(found.relative):
            assert all(math.isnan(value) for value in (*found, *turned)) and str(found) == "-"
            continue
        assert -1 < found.lo <= found.relative <= found.hi < math.inf and 0 <= found.p <= 1
        # With the arms turned round a ratio is one over it, and so are its bounds.
        assert 1 + found.relative == pytest.approx(1 / (1 + turned.relative))
        assert 1 + found.lo == pytest.approx(1 / (1 + turned.hi)) and found.p == pytest.approx(turned.p)


@settings(deadline=None)
@given(arms(), arms(), st.randoms(use_true_random=False))
def test_an_uplift_does_not_depend_on_the_order_of_users_or_the_unit(
    control: UserSums, treatment: UserSums, random: object
) -> None:
    order = random.sample(range(len(control.clicks)), len(control.clicks))  # type: ignore[attr-defined]
    mixed = UserSums(*(column[order] for column in control))
    for estimator in ESTIMATORS:
        found = estimator(control, treatment)
        assert estimator(mixed, treatment) == pytest.approx(found, nan_ok=True, rel=1e-6, abs=1e-9)
        tenfold = [UserSums(*(10 * column for column in arm)) for arm in (control, treatment)]
        assert estimator(*tenfold) == pytest.approx(found, nan_ok=True, rel=1e-6, abs=1e-9)


@settings(deadline=None)
@given(arms(), st.integers(2, 50))
def test_the_interval_of_a_ctr_lies_in_0_to_1_holds_it_and_narrows_with_users(arm: UserSums, times: int) -> None:
    ctr, lo, hi = ctr_interval(arm.exposures, arm.clicks)
    if not len(arm.clicks):
        assert all(math.isnan(value) for value in (ctr, lo, hi))
        return
    assert 0 <= lo <= ctr <= hi <= 1 and lo < hi
    opposite = ctr_interval(arm.exposures, arm.exposures - arm.clicks)
    assert opposite == pytest.approx((1 - ctr, 1 - hi, 1 - lo), abs=1e-9)
    many = ctr_interval(np.tile(arm.exposures, times), np.tile(arm.clicks, times))
    if arm.exposures.min() == arm.exposures.max() and len({*(arm.clicks / arm.exposures)}) == 1:
        assert many[2] - many[1] < hi - lo


@pytest.mark.parametrize("shown", [1, 40, 100_000])
def test_of_users_without_a_click_no_more_is_claimed_than_that_so_many_users_had_none(shown: int) -> None:
    for n in (1, 3, 300):
        ctr, lo, hi = ctr_interval(np.full(n, shown), np.zeros(n))
        assert (ctr, lo) == (0.0, 0.0) and hi == pytest.approx(1 - 0.025 ** (1 / n))  # Clopper and Pearson's for 0 of n
    ctr, lo, hi = ctr_interval(np.full(3, shown), np.full(3, shown))
    assert (ctr, hi) == (1.0, 1.0) and lo == pytest.approx(0.025 ** (1 / 3))


def test_a_user_who_was_shown_most_of_it_weighs_more_than_one_trial_each() -> None:
    _, _, alike = ctr_interval(np.full(20, 10), np.zeros(20))
    _, _, skewed = ctr_interval(np.array([1000, *[1] * 19]), np.zeros(20))
    assert skewed > 0.9 > 0.2 > alike


@pytest.mark.parametrize(
    "control, treatment",
    [
        (users([6, 3, 9], [2, 1, 3]), users([3, 12], [1, 4])),
        (users([8, 8, 8], [1, 1, 1]), users([8, 8], [1, 1])),
        (users([8, 8, 8], [1, 1, 1]), users([8, 8], [2, 2])),
        (users([5, 7], [5, 7]), users([2, 9], [2, 9])),
    ],
)
def test_users_who_are_all_of_one_ctr_say_nothing_of_how_others_are(control: UserSums, treatment: UserSums) -> None:
    for estimator in ESTIMATORS:
        assert repr(estimator(control, treatment)) == repr(UNDEFINED)


def test_an_interval_that_doubles_cannot_tell_from_all_or_nothing_is_none() -> None:
    # One degree of freedom, and a control whose clicks are one user's: the bounds are a factor of e^38 apart from 1.
    control, treatment = users([1, 1], [0, 1], ([1, 1], [0, 0])), users([8, 8], [1, 1])
    assert repr(cuped(control, treatment)) == repr(cuped(treatment, control)) == repr(UNDEFINED)
    assert not math.isnan(raw(control, treatment).relative)


def test_what_the_a_a_period_explains_wholly_leaves_cuped_nothing_to_judge_by() -> None:
    control, treatment = users([10, 10, 10], [1, 2, 3]), users([10, 10, 10], [2, 3, 1])
    assert repr(cuped(control, treatment)) == repr(UNDEFINED) and raw(control, treatment).p == pytest.approx(1)


def test_users_whose_ctrs_before_do_not_differ_leave_cuped_as_raw() -> None:
    before = ([4, 8, 4], [1, 2, 1])
    control, treatment = users([10, 10, 10], [1, 2, 3], before), users([10, 10, 10], [2, 4, 4], before)
    assert cuped(control, treatment) == raw(control, treatment)


@given(st.lists(st.integers(0, 300), min_size=1, max_size=5), st.data())
def test_the_p_value_of_a_sample_ratio_is_one(counts: list[int], data: st.DataObject) -> None:
    names = [f"arm{i}" for i in range(len(counts))]
    parts = [data.draw(st.sampled_from([1, 2, 99])) for _ in counts]
    shares = {name: part / sum(parts) for name, part in zip(names, parts, strict=True)}
    p = srm(dict(zip(names, counts, strict=True)), shares)
    assert math.isnan(p) if len(counts) < 2 or not sum(counts) else 0 <= p <= 1


def test_one_user_in_an_arm_of_one_percent_is_no_alarm() -> None:
    shares = {"control": 0.99, "b": 0.01}
    assert srm({"control": 0, "b": 1}, shares) == pytest.approx(0.01)  # chi-square would say 2e-23
    assert srm({"control": 90, "b": 10}, shares) < 1e-6
    assert srm({"control": 9900, "b": 100}, shares) == 1
