"""Statistics hold what they promise: coverage, false positives, and who is narrower than whom."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
import scipy.stats
import tea_tasting as tt

from simulator.readout.statistics.ctr import ctr_interval
from simulator.readout.statistics.sample_ratio import srm
from simulator.readout.statistics.uplift import ab_minus_aa, cuped, cuped_or_raw, raw
from simulator.readout.statistics.users import UserSums

TESTS = 400


def arm(rng: np.random.Generator, users: int, uplift: float = 0.0) -> UserSums:
    """Users whose CTRs differ, and who keep theirs from the first period to the second."""
    rate = np.clip(rng.beta(2, 18, users), 0.001, 0.9)
    activity = rng.lognormal(2.5, 0.8, users)
    before, now = (np.maximum(rng.poisson(activity), 1) for _ in range(2))
    return UserSums(
        now.astype(float), rng.binomial(now, np.clip(rate * (1 + uplift), 0, 1)).astype(float),
        before.astype(float), rng.binomial(before, rate).astype(float),
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("estimator", [raw, cuped, ab_minus_aa])
@pytest.mark.parametrize("uplift", [0.0, 0.05])
def test_the_interval_covers_the_true_uplift_as_often_as_it_says(estimator: object, uplift: float) -> None:
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(TESTS):
        found = estimator(arm(rng, 300), arm(rng, 300, uplift))  # type: ignore[operator]
        covered += found.lo <= uplift <= found.hi
    # 95% of 400 is 380 ± 4.4; four standard errors either way.
    assert 362 <= covered <= 398


def test_cuped_and_the_difference_are_narrower_than_raw_where_users_keep_their_rates() -> None:
    rng = np.random.default_rng(1)
    pair = arm(rng, 5000), arm(rng, 5000, 0.03)
    widths = {estimator.__name__: (f := estimator(*pair)).hi - f.lo for estimator in (raw, cuped, ab_minus_aa)}
    assert widths["cuped"] < 0.9 * widths["raw"]
    assert widths["cuped"] < 1.02 * widths["ab_minus_aa"]


def test_the_difference_of_differences_equals_a_bootstrap_over_users() -> None:
    rng = np.random.default_rng(2)
    control, treatment = arm(rng, 2000), arm(rng, 2000, 0.05)
    found = ab_minus_aa(control, treatment)
    draws = []
    for _ in range(600):
        c, t = _resample(rng, control), _resample(rng, treatment)
        draws.append(_log_ratio(t) - _log_ratio(c))
    low, high = np.expm1(np.quantile(draws, [0.025, 0.975]))
    assert found.relative == pytest.approx(math.expm1(_log_ratio(treatment) - _log_ratio(control)))
    assert found.lo == pytest.approx(low, abs=0.01) and found.hi == pytest.approx(high, abs=0.01)


def _resample(rng: np.random.Generator, sums: UserSums) -> UserSums:
    rows = rng.integers(0, len(sums.clicks), len(sums.clicks))
    return UserSums(*(column[rows] for column in sums))


def _log_ratio(sums: UserSums) -> float:
    now, before = sums.clicks.sum() / sums.exposures.sum(), sums.clicks_before.sum() / sums.exposures_before.sum()
    return math.log(now / before)


def test_one_arm_s_interval_covers_its_rate() -> None:
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(TESTS):
        sums = arm(rng, 300)
        _, lo, hi = ctr_interval(sums.exposures, sums.clicks)
        covered += lo <= 0.1 <= hi  # the mean of Beta(2, 18), rates and activity being independent
    assert 358 <= covered <= 398


def test_a_broken_assignment_raises_the_alarm_and_a_sound_one_does_not() -> None:
    shares = {"a": 0.5, "b": 0.3, "c": 0.2}
    assert srm({"a": 5030, "b": 2980, "c": 1990}, shares) > 0.5
    assert srm({"a": 5300, "b": 2800, "c": 1900}, shares) < 1e-6
    assert math.isnan(srm({"a": 10}, {"a": 1.0}))


def test_without_clicks_or_users_nothing_is_claimed() -> None:
    none = UserSums(*(np.zeros(0) for _ in range(4)))
    silent = UserSums(np.ones(5), np.zeros(5), np.ones(5), np.zeros(5))
    clicking = arm(np.random.default_rng(0), 5)
    for estimator in (raw, cuped, ab_minus_aa):
        assert math.isnan(estimator(none, clicking).relative)
        assert math.isnan(estimator(clicking, silent).relative)
    no_past = UserSums(clicking.exposures, clicking.clicks, np.zeros(5), np.zeros(5))
    assert math.isnan(cuped(no_past, no_past).relative) and math.isnan(ab_minus_aa(no_past, no_past).relative)


def test_the_sample_ratio_of_several_unequal_arms_is_scipy_s_chi_square() -> None:
    users, shares = {"a": 512, "b": 290, "c": 198}, {"a": 5.0, "b": 3.0, "c": 2.0}
    theirs = scipy.stats.chisquare([512, 290, 198], [500, 300, 200])
    assert srm(users, shares) == pytest.approx(theirs.pvalue)
    # By hand: (12² / 500 + 10² / 300 + 2² / 200), of which exp(-x / 2) is the tail at two degrees of freedom.
    assert srm(users, shares) == pytest.approx(math.exp(-(144 / 500 + 100 / 300 + 4 / 200) / 2))


def test_moments_give_what_tea_tasting_reads_from_the_table_itself() -> None:
    rng = np.random.default_rng(6)
    pair = arm(rng, 400), arm(rng, 500, 0.05)
    columns = {name: np.concatenate(both) for name, *both in zip(UserSums._fields, *pair, strict=True)}
    table = pa.table({"variant": np.repeat([0, 1], [400, 500]), **columns})
    metrics = {
        "raw": tt.RatioOfMeans("clicks", "exposures"),
        "cuped": tt.RatioOfMeans("clicks", "exposures", "clicks_before", "exposures_before"),
    }
    theirs = tt.Experiment(metrics).analyze(table, control=0)
    for name, estimator in (("raw", raw), ("cuped", cuped)):
        found, one = estimator(*pair), theirs[name]
        expected = one.rel_effect_size, one.rel_effect_size_ci_lower, one.rel_effect_size_ci_upper, one.pvalue
        assert tuple(found) == pytest.approx(expected)


def test_users_without_a_past_are_judged_raw_where_parts_of_the_users_are() -> None:
    rng = np.random.default_rng(9)
    pair = arm(rng, 300), arm(rng, 300)
    new = [UserSums(one.exposures, one.clicks, np.zeros(300), np.zeros(300)) for one in pair]
    assert cuped_or_raw(*pair) == cuped(*pair) and cuped_or_raw(*new) == raw(*new) == raw(*pair)
