"""Ratios of sums with intervals by cluster: against scipy and tea-tasting, and differences in pairs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import tea_tasting as tt

from simulator.readout.statistics.clusters import ratio, ratio_difference


def test_of_rows_that_are_their_own_clusters_it_is_the_t_interval_of_their_mean() -> None:
    values = np.random.default_rng(1).exponential(size=50)
    found = ratio(values, np.ones(50))
    lo, hi = scipy.stats.t.interval(0.95, 49, values.mean(), scipy.stats.sem(values))
    assert (found.value, *found.interval) == pytest.approx((values.mean(), lo, hi))
    assert found.test(1.0) == pytest.approx(scipy.stats.ttest_1samp(values, 1.0).pvalue)


def test_of_different_users_the_difference_is_tea_tasting_s_ratio_of_means() -> None:
    rng = np.random.default_rng(3)
    shown = rng.integers(1, 30, 4000)
    frame = pd.DataFrame({"shown": shown, "clicks": rng.binomial(shown, rng.beta(2, 12, 4000))})
    frame["variant"] = np.arange(4000) % 2
    said: Any = tt.Experiment(ctr=tt.RatioOfMeans("clicks", "shown")).analyze(frame, control=0)["ctr"]
    one, other = (
        ratio(of["clicks"].to_numpy(float), of["shown"].to_numpy(float), of.index.to_numpy())
        for _, of in frame.groupby("variant")
    )
    found = ratio_difference(other, one)
    expected = (said.effect_size, said.effect_size_ci_lower, said.effect_size_ci_upper, said.pvalue)
    assert found == pytest.approx(expected, rel=1e-3)


def test_rows_of_a_cluster_count_as_one() -> None:
    values = np.random.default_rng(4).normal(size=40)
    once, thrice = ratio(values, np.ones(40)), ratio(np.repeat(values, 3), np.ones(120), np.repeat(np.arange(40), 3))
    assert thrice.interval == pytest.approx(once.interval)


def test_differences_are_paired_where_clusters_are_shared_and_independent_where_not() -> None:
    rng = np.random.default_rng(2)
    base = rng.normal(size=400)
    one, other = ratio(base + 0.1, np.ones(400)), ratio(base + rng.normal(scale=0.01, size=400), np.ones(400))
    paired = ratio_difference(one, other)
    elsewhere = ratio_difference(one, other._replace(cluster=other.cluster + 400))
    width = paired.hi - paired.lo
    assert paired.mean == elsewhere.mean and width < 0.01 * (elsewhere.hi - elsewhere.lo) * 2
    spread = math.hypot(*((r.interval[1] - r.interval[0]) for r in (one, other)))
    assert elsewhere.hi - elsewhere.lo == pytest.approx(spread, rel=0.01)
    assert ratio_difference(one, one)[:] == (0.0, 0.0, 0.0, 1.0)


@pytest.mark.parametrize("n, value", [(0, 1.0), (1, 1.0), (5, 1.0), (5, 1 / 3)])
def test_what_says_nothing_of_others_has_no_interval(n: int, value: float) -> None:
    found = ratio(np.full(n, value), np.ones(n))
    assert all(map(math.isnan, found.interval)) and math.isnan(found.test(0.5))
    assert all(map(math.isnan, ratio_difference(found, ratio(np.full(n, 2 * value), np.ones(n)))))
