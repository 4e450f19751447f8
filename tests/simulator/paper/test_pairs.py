"""Differences over seeds."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from simulator.paper.pairs import paired_seeds


def test_with_one_split_it_is_the_paired_t_test() -> None:
    rng = np.random.default_rng(0)
    backbone, arm = rng.normal(0.8, 0.01, 8), rng.normal(0.81, 0.01, 8)
    found, expected = paired_seeds(backbone, arm, 0.0), scipy.stats.ttest_rel(arm, backbone)
    interval = expected.confidence_interval(0.95)
    assert (found.lo, found.hi, found.p) == pytest.approx((interval.low, interval.high, expected.pvalue))


def test_splits_that_overlap_widen_the_interval_as_nadeau_and_bengio_have_it() -> None:
    rng = np.random.default_rng(0)
    backbone, arm = rng.normal(0.8, 0.01, 10), rng.normal(0.8, 0.01, 10)
    plain, corrected = (paired_seeds(backbone, arm, share) for share in (0, 1 / 8))
    assert (corrected.hi - corrected.lo) / (plain.hi - plain.lo) == pytest.approx(
        math.sqrt((1 / 10 + 1 / 8) / (1 / 10))
    )
    assert corrected.mean == plain.mean and corrected.p > plain.p


def test_one_seed_and_seeds_that_all_differ_alike_have_no_interval() -> None:
    for values in (np.array([0.5]), np.array([0.5, 0.5])):
        found = paired_seeds(values, values + 0.25, 0)
        assert found.mean == 0.25 and math.isnan(found.lo) and math.isnan(found.p)
