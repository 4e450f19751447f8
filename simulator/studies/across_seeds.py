"""What several worlds say together: intervals across seeds, in which the learners' and the worlds' own luck is."""

from __future__ import annotations

import math

import numpy as np
import scipy.stats

from simulator.readout.statistics.estimate import CONFIDENCE, Difference

__all__ = ["across_seeds"]


def across_seeds(values: np.ndarray, overlap: float = 0.0) -> Difference:
    """The mean over seeds, [seeds], with a t interval, and the p-value of a mean of 0; NaN seeds are left out.

    overlap: by how much of their variance seeds that draw from the same rows differ too little; the variance of the mean is
    (1 / seeds + overlap) times theirs. Undefined but for the mean where there is one seed, or where all are alike; all 0 is a 0
    without doubt.

    >>> print(across_seeds(np.array([0.01, 0.02, 0.01])))
    +0.01333 [-0.00101, +0.02768], p = 0.057
    """
    values = values[~np.isnan(values)]
    n = len(values)
    mean = float(values.mean()) if n else math.nan
    if n > 1 and not values.any():
        return Difference(0.0, 0.0, 0.0, 1.0)  # what is compared is one and the same
    spread = math.sqrt((1 / n + overlap) * float(values.var(ddof=1))) if n > 1 else math.nan
    if not spread > 0:
        return Difference(mean, math.nan, math.nan, math.nan)
    t = float(scipy.stats.t.ppf(0.5 + CONFIDENCE / 2, n - 1))
    p = float(2 * scipy.stats.t.sf(abs(mean) / spread, n - 1))
    return Difference(mean, mean - t * spread, mean + t * spread, p)
