"""Differences over seeds, and p-values for a table of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from simulator.paper.pairs import holm, paired_seeds

P = st.lists(st.floats(0, 1), min_size=1, max_size=9)


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


def test_holm_by_hand() -> None:
    # Sorted .005 .01 .03 .04, times 4 3 2 1: .02 .03 .06 .04; none below the one before it.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(P, st.floats(0.001, 0.999))
def test_holm_rejects_as_its_step_down_procedure_does(p: list[float], level: float) -> None:
    rejected, order = set(), sorted(range(len(p)), key=lambda i: p[i])
    for rank, i in enumerate(order):
        if (len(p) - rank) * p[i] > level:
            break
        rejected.add(i)
    assert {i for i, one in enumerate(holm(p)) if one <= level} == rejected
