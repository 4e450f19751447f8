"""The CTR of one arm, with its interval. tea-tasting has intervals of differences alone."""

from __future__ import annotations

import math

import numpy as np
import scipy.stats

from simulator.readout.statistics.estimate import CONFIDENCE
from simulator.readout.statistics.spread import is_rounding, ratio_errors

__all__ = ["ctr_interval"]

TAIL = (1 - CONFIDENCE) / 2


def ctr_interval(exposures: np.ndarray, clicks: np.ndarray) -> tuple[float, float, float]:
    """CTR of one arm and its interval, within [0, 1]: (ctr, lo, hi). exposures, clicks: [users].

    Korn and Graubard (1998, "Confidence intervals for proportions with small expected number of positive counts estimated
    from survey data"): Clopper and Pearson's interval for as many independent trials as would vary as the ratio does
    across users (delta method), fewer where users are few. Where users' CTRs do not differ (none has a click, all
    clicked everything, one user), that says nothing of how alike the exposures of one user are, and a user is a trial.

    >>> ctr, lo, hi = ctr_interval(np.array([4, 4, 4]), np.array([0, 0, 0]))
    >>> lo, round(hi, 3), round(1 - 0.025 ** (1 / 3), 3)
    (0.0, 0.708, 0.708)
    """
    n, shown = len(exposures), float(exposures.sum())
    if not shown:
        return math.nan, math.nan, math.nan
    ctr = float(clicks.sum()) / shown
    trials = shown**2 / float((exposures.astype(float) ** 2).sum())  # Kish's number of users who weigh alike
    if n > 1:
        errors, scale = ratio_errors(clicks, exposures)
        variance = float(np.var(errors, ddof=1)) / n
        if not is_rounding(variance, scale / n):
            # The variance is of ctr's relative error, and itself estimated from n users.
            few = float(scipy.stats.norm.isf(TAIL) / scipy.stats.t.isf(TAIL, n - 1))
            trials = min(shown, few**2 * (1 - ctr) / (ctr * variance))
    hits = ctr * trials
    lo = float(scipy.stats.beta.ppf(TAIL, hits, trials - hits + 1)) if hits > 0 else 0.0
    hi = float(scipy.stats.beta.isf(TAIL, hits + 1, trials - hits)) if hits < trials else 1.0
    return ctr, min(lo, ctr), max(hi, ctr)
