"""Tests of nothing find something as often as they say: one table of users, split anew and anew."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.stats

from simulator.readout.statistics.estimate import Estimate
from simulator.readout.statistics.sequential import looks_of
from simulator.readout.statistics.uplift import ab_minus_aa, cuped, raw
from simulator.readout.statistics.users import UserSums

USERS, DAYS, SPLITS = 1000, 7, 300


def band(tests: int, rate: float = 0.05) -> tuple[int, int]:
    """Rejections of so many tests, outside of which a sound statistic falls in one of 10,000 seeds."""
    low, high = scipy.stats.binom.interval(0.9999, tests, rate)
    return int(low), int(high)


@pytest.fixture(scope="module")
def days() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Exposures and clicks of A/B, [days, users], and those before, [users]: users keep their rates, and some never came."""
    rng = np.random.default_rng(11)
    rate = np.clip(rng.beta(2, 18, USERS), 0.001, 0.9)
    activity = rng.lognormal(0.6, 0.8, USERS)
    shown = rng.poisson(activity, (DAYS, USERS))
    before = rng.poisson(7 * activity) * (rng.random(USERS) < 0.9)
    return shown, rng.binomial(shown, rate), before, rng.binomial(before, rate)


def splits(days: tuple[np.ndarray, ...], until: int) -> list[list[UserSums]]:
    """Control and treatment of each split, up to a day."""
    shown, clicks = days[0][:until].sum(axis=0), days[1][:until].sum(axis=0)
    columns = [column.astype(float) for column in (shown, clicks, *days[2:])]
    rng, found = np.random.default_rng(12), []
    for _ in range(SPLITS):
        half = rng.permutation(USERS) < USERS // 2
        found.append([UserSums(*(column[side & (shown > 0)] for column in columns)) for side in (half, ~half)])
    return found


@pytest.mark.parametrize("estimator", [raw, cuped, ab_minus_aa])
def test_of_tests_of_nothing_five_percent_reject(
    days: tuple[np.ndarray, ...], estimator: Callable[[UserSums, UserSums], Estimate]
) -> None:
    rejected = sum(estimator(*pair).p < 0.05 for pair in splits(days, DAYS))
    low, high = band(SPLITS)
    assert low <= rejected <= high


def test_who_looks_on_each_of_seven_days_crosses_the_bounds_in_no_more_than_that(days: tuple[np.ndarray, ...]) -> None:
    by_day = [splits(days, until) for until in range(1, DAYS + 1)]
    tests = [[ab_minus_aa(*pair) for pair in of_test] for of_test in zip(*by_day, strict=True)]
    crossed = sum(any(look.crossed for look in looks_of(range(DAYS), so_far, DAYS)) for so_far in tests)
    naive = sum(any(found.p < 0.05 for found in so_far) for so_far in tests)
    assert crossed <= band(SPLITS)[1] < naive
