"""Scores of estimators, against rows made by hand and draws whose law is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.readout.statistics.estimate import UNDEFINED, Estimate
from simulator.studies.scoring import RULES, crossings, power_curve, rate, score


def test_a_score_by_hand() -> None:
    found = [
        Estimate(0.02, -0.01, 0.05, 0.20),  # covers .01
        Estimate(0.04, 0.01, 0.07, 0.01),  # covers .03, rejected
        Estimate(0.06, 0.03, 0.09, 0.001),  # misses .02, rejected
        Estimate(0.00, -0.03, 0.03, 1.00),  # its truth is not known
        UNDEFINED,
    ]
    of = score(found, [0.01, 0.03, 0.02, math.nan, 0.5])
    assert of.estimate.mean == pytest.approx(0.03) and of.undefined == 1
    assert of.bias.mean == pytest.approx((0.01 + 0.01 + 0.04) / 3)
    assert of.spread == pytest.approx(np.std([0.01, 0.01, 0.04], ddof=1))
    assert of.coverage[::3] == (2 / 3, 3) and of.rejected[::3] == (0.5, 4)
    assert of.log_error == pytest.approx(math.sqrt(np.mean([one.log_error**2 for one in found[:4]])))


def test_nothing_scores_nothing() -> None:
    for none in (score([], []), score([UNDEFINED] * 3, [0.0] * 3)):
        assert math.isnan(none.estimate.mean) and math.isnan(none.bias.mean) and math.isnan(none.spread)
        assert none.coverage.n == none.rejected.n == 0 and str(none.coverage) == "-"
    assert score([UNDEFINED] * 3, [0.0] * 3).undefined == 3


@settings(deadline=None)
@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_a_rate_s_interval_is_that_of_the_beta_distribution(hits_of: tuple[int, int]) -> None:
    hits, n = hits_of
    found = rate(hits, n)
    low = scipy.stats.beta.ppf(0.025, hits, n - hits + 1) if hits else 0.0
    high = scipy.stats.beta.ppf(0.975, hits + 1, n - hits) if hits < n else 1.0
    assert found.share == hits / n and (found.lo, found.hi) == pytest.approx((low, high), abs=1e-9)


def test_rules_for_looking_err_as_often_as_they_should_where_there_is_nothing() -> None:
    n, tests = 7, 4000
    sums = np.random.default_rng(1).normal(size=(tests, n)).cumsum(axis=1) / np.sqrt(np.arange(1, n + 1))
    ended = [crossings(p) for p in 2 * scipy.stats.norm.sf(abs(sums))]
    share = {rule: sum(one[rule] for one in ended) / tests for rule in RULES}
    assert share["naively every day"] == pytest.approx(
        0.14, abs=0.02
    )  # Armitage, McPherson and Rowe 1969: .14 at 5, .17 at 7 looks
    assert share["once, at the end"] == pytest.approx(0.05, abs=0.015)
    assert share["O'Brien-Fleming"] == pytest.approx(0.05, abs=0.015)
    assert share["always valid"] < share["Bonferroni"] < 0.04


def test_a_rule_by_hand() -> None:
    early = crossings(np.array([0.002, 0.5, 0.6]))
    assert early == {
        "once, at the end": False,
        "naively every day": True,
        "Bonferroni": True,
        "O'Brien-Fleming": False,
        "always valid": False,
    }
    assert crossings(np.array([math.nan, 1e-9, 1e-9])) == dict.fromkeys(RULES, True)
    assert not any(crossings(np.array([math.nan, math.nan])).values())


def test_a_power_curve_is_five_percent_without_an_effect_and_goes_on_until_it_is_found() -> None:
    assert all(power == pytest.approx(0.05) for _, power in power_curve(0.0, 0.02, 1000))
    curve = power_curve(0.001, 0.02, 1000)
    assert [power for _, power in curve] == sorted(power for _, power in curve)
    assert curve[0][0] == pytest.approx(125) and curve[-1][1] == pytest.approx(0.99, abs=0.001)
    users, power = curve[25]
    draws = scipy.stats.norm.rvs(math.log1p(0.001) / (0.02 * math.sqrt(1000 / users)), size=200_000, random_state=1)
    assert power == pytest.approx((abs(draws) > 1.96).mean(), abs=0.005)
    assert power_curve(math.nan, 0.02, 1000) == power_curve(0.01, math.nan, 1000) == []
