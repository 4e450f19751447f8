"""The CTR of one arm, with its interval. tea-tasting has intervals of differences alone."""

from __future__ import annotations

import math

import numpy as np
import scipy.stats

from simulator.readout.statistics.estimate import CONFIDENCE

__all__ = ["ctr_interval"]


def ctr_interval(exposures: np.ndarray, clicks: np.ndarray) -> tuple[float, float, float]:
    """CTR of one arm and its interval: (ctr, lo, hi); user-level delta method on the ratio. exposures, clicks: [users]."""
    n, shown = len(exposures), exposures.sum()
    if not shown:
        return math.nan, math.nan, math.nan
    ctr = float(clicks.sum() / shown)
    if n < 2:
        return ctr, math.nan, math.nan
    spread = math.sqrt(float(np.var(clicks - ctr * exposures, ddof=1)) / n) / float(exposures.mean())
    z = float(scipy.stats.norm.ppf(0.5 + CONFIDENCE / 2))
    return ctr, ctr - z * spread, ctr + z * spread
