"""Intervals of one arm, and of a difference by days."""

from __future__ import annotations

import math

import numpy as np
import scipy.stats

from simulator.readout.statistics.estimate import CONFIDENCE, UNDEFINED, Estimate

__all__ = ["ctr_interval", "paired_days"]


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


def paired_days(control: np.ndarray, treatment: np.ndarray) -> Estimate:
    """Mean over days of treatment - control (absolute), with a t interval across days; for the metrics of a replay."""
    difference = treatment - control
    difference = difference[~np.isnan(difference)]
    if len(difference) < 2:
        return UNDEFINED
    mean, spread = float(difference.mean()), float(difference.std(ddof=1) / math.sqrt(len(difference)))
    if spread == 0:
        return Estimate(mean, mean, mean, 1.0 if mean == 0 else 0.0)
    t = float(scipy.stats.t.ppf(0.5 + CONFIDENCE / 2, len(difference) - 1))
    p = float(2 * scipy.stats.t.sf(abs(mean) / spread, len(difference) - 1))
    return Estimate(mean, mean - t * spread, mean + t * spread, p)
