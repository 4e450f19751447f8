"""Ratios of sums over rows, with intervals by cluster: the rows of one user are alike, so a user is what is sampled."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import scipy.stats

from simulator.readout.statistics.estimate import CONFIDENCE, NO_DIFFERENCE, Difference
from simulator.readout.statistics.spread import is_rounding

__all__ = ["Ratio", "ratio", "ratio_difference"]


class Ratio(NamedTuple):
    """A ratio of sums, and how far each cluster moved it.

    cluster: different ids in their order, [g]. error: float64 [g], sums to 0. scale: what the squares of the errors would
    add up to if numerator and denominator did not vary together: the measure of what is rounding.
    """

    value: float
    cluster: np.ndarray
    error: np.ndarray
    scale: float

    @property
    def interval(self) -> tuple[float, float]:
        """(lo, hi); NaN where there are fewer than two clusters, and where they do not differ."""
        found = _difference(self.value, self.error, self.scale)
        return found.lo, found.hi

    def test(self, expected: float) -> float:
        """p-value of the ratio being the expected one, two-sided."""
        return _difference(self.value - expected, self.error, self.scale).p


def ratio(numerator: np.ndarray, denominator: np.ndarray, cluster: np.ndarray | None = None) -> Ratio:
    """Sum of numerators over sum of denominators, float64 [n] each. cluster: ids [n]; None: each row is one.

    The errors are those of the delta method (Deng, Knoblich and Lu 2018, "Applying the delta method in metric analytics"):
    a cluster's share of numerator − ratio · denominator, over the sum of denominators. A mean is the ratio to ones.

    >>> ratio(np.array([1.0, 0.0, 1.0, 0.0]), np.ones(4), np.array([7, 7, 8, 9]))[:3]
    (0.5, array([7, 8, 9]), array([ 0.   ,  0.125, -0.125]))
    """
    ids, of_row = (
        (np.arange(len(numerator)), np.arange(len(numerator)))
        if cluster is None
        else np.unique(cluster, return_inverse=True)
    )
    whole = float(denominator.sum())
    if not whole:
        return Ratio(math.nan, ids, np.zeros(len(ids)), 0.0)
    value = float(numerator.sum()) / whole
    above = np.bincount(of_row, weights=numerator, minlength=len(ids)) / whole
    below = np.bincount(of_row, weights=denominator, minlength=len(ids)) * (value / whole)
    return Ratio(value, ids, above - below, float((above**2).sum() + (below**2).sum()))


def ratio_difference(treatment: Ratio, control: Ratio) -> Difference:
    """treatment − control. Clusters that both have are paired, the others are independent."""
    ids = np.union1d(treatment.cluster, control.cluster)
    error = np.zeros(len(ids))
    error[np.searchsorted(ids, treatment.cluster)] = treatment.error
    error[np.searchsorted(ids, control.cluster)] -= control.error
    mean = treatment.value - control.value
    if mean == 0 and not error.any():
        return Difference(0.0, 0.0, 0.0, 1.0)  # the two are one and the same
    return _difference(mean, error, treatment.scale + control.scale)


def _difference(mean: float, error: np.ndarray, scale: float) -> Difference:
    """A t interval around a mean whose errors by cluster add up to 0; undefined as a whole where they say nothing of others."""
    n = len(error)
    if n < 2 or math.isnan(mean):
        return NO_DIFFERENCE
    variance = float((error**2).sum()) * n / (n - 1)
    if is_rounding(variance, scale):
        return NO_DIFFERENCE
    spread = math.sqrt(variance)
    t = float(scipy.stats.t.ppf(0.5 + CONFIDENCE / 2, n - 1))
    return Difference(
        mean, mean - t * spread, mean + t * spread, float(2 * scipy.stats.t.sf(abs(mean) / spread, n - 1))
    )
