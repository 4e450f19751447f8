"""Looking daily costs what it says: bounds as published, as another method integrates them, and as played through."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.readout.statistics.estimate import UNDEFINED, Estimate
from simulator.readout.statistics.sequential import bounds, looks_of, repeated_interval, spent


def even(looks: int) -> tuple[float, ...]:
    return tuple((i + 1) / looks for i in range(looks))


# Two-sided α of .05, O'Brien-Fleming type spending: ldBounds 2.0 (Casper and Perez 2018), as Lan and DeMets' own program.
PUBLISHED = {
    1: (1.9600,),
    2: (2.9626, 1.9686),
    3: (3.7103, 2.5114, 1.9930),
    5: (4.8769, 3.3569, 2.6803, 2.2898, 2.0310),
}


@pytest.mark.parametrize("looks", PUBLISHED)
def test_the_bounds_are_those_published(looks: int) -> None:
    assert bounds(even(looks)) == pytest.approx(PUBLISHED[looks], abs=2e-4)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 20), min_size=1, max_size=4, unique=True).map(sorted))
def test_the_chance_to_have_crossed_by_each_look_is_what_is_spent_by_then(twentieths: list[int]) -> None:
    information = tuple(part / 20 for part in twentieths)
    found = bounds(information)
    for k in range(1, len(information) + 1):
        t = np.array(information[:k])
        # The correlation of two looks' z is √(t/t'); scipy integrates the normal box by another method.
        correlation = np.sqrt(np.minimum.outer(t, t) / np.maximum.outer(t, t))
        edge = np.array([min(bound, 30.0) for bound in found[:k]])
        stays = scipy.stats.multivariate_normal(cov=correlation, allow_singular=True, seed=1).cdf(
            edge, lower_limit=-edge
        )
        assert 1 - stays == pytest.approx(spent(t[-1]), abs=2e-4)


def test_seven_looks_at_a_test_without_an_effect_cross_in_five_percent_and_naive_ones_in_far_more() -> None:
    paths = np.random.default_rng(7).standard_normal((40_000, 7)).cumsum(axis=1) / np.sqrt(np.arange(1, 8))
    crossed = (np.abs(paths) > np.array(bounds(even(7)))).any(axis=1).mean()
    assert crossed == pytest.approx(0.05, abs=4 * math.sqrt(0.05 * 0.95 / 40_000))
    assert (np.abs(paths) > 1.96).any(axis=1).mean() > 0.14


def test_looks_that_bring_the_same_users_again_cross_less_often_than_that() -> None:
    rng = np.random.default_rng(8)
    user, days = rng.standard_normal((40_000, 1)), rng.standard_normal((40_000, 7))
    n = np.arange(1, 8)
    sums = n * user + 1.5 * days.cumsum(axis=1)  # half of what varies is the users themselves, who stay the same
    paths = sums / np.sqrt(n**2 + 1.5**2 * n)
    crossed = (np.abs(paths) > np.array(bounds(even(7)))).any(axis=1).mean()
    assert 0.02 < crossed < 0.05


def test_a_long_test_has_no_bound_for_looks_that_may_spend_nothing_and_costs_no_more() -> None:
    found = bounds(even(200))
    assert math.isinf(found[0]) or found[0] > 20
    assert all(later <= earlier for earlier, later in itertools.pairwise(found)) and 2.1 < found[-1] < 2.3


@given(st.floats(0.01, 1), st.floats(0.01, 1))
def test_what_is_spent_grows_to_the_whole(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert 0 <= spent(low) <= spent(high) <= spent(1.0) == pytest.approx(0.05)


def estimate(log_ratio: float, log_error: float) -> Estimate:
    half = float(scipy.stats.norm.ppf(0.975)) * log_error
    p = float(2 * scipy.stats.norm.sf(abs(log_ratio) / log_error))
    return Estimate(math.expm1(log_ratio), math.expm1(log_ratio - half), math.expm1(log_ratio + half), p)


@given(st.floats(-0.3, 0.3), st.floats(0.001, 0.1), st.floats(1.5, 8))
def test_a_repeated_interval_leaves_zero_exactly_where_z_passes_the_bound(
    ratio: float, error: float, bound: float
) -> None:
    lo, hi = repeated_interval(estimate(ratio, error), bound)
    assert estimate(ratio, error).log_error == pytest.approx(error)
    assert lo <= math.expm1(ratio) <= hi
    if abs(abs(ratio) / error - bound) > 1e-6:
        assert (lo > 0 or hi < 0) == (abs(ratio) / error > bound)


def test_a_look_tells_its_share_of_the_plan_its_bound_and_whether_it_was_passed() -> None:
    days = [4, 5, 6]
    found = looks_of(days, [estimate(0.1, 0.02), estimate(0.1, 0.02), UNDEFINED], planned=7)
    assert [look.information for look in found] == pytest.approx([1 / 7, 2 / 7, 3 / 7])
    assert [look.bound for look in found] == pytest.approx(bounds(even(7))[:3])
    # z is 5: under the bound of the first day, over that of the second.
    assert [look.crossed for look in found] == [False, True, False]
    assert [look.day for look in found] == days and math.isnan(found[2].lo)


def test_a_test_that_lasted_longer_than_planned_has_spent_all_of_it_at_its_end() -> None:
    found = looks_of([0, 1, 2], [estimate(0.0, 0.02)] * 3, planned=2)
    assert found[-1].information == 1
