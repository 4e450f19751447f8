"""The difference that two arms' days show."""

from __future__ import annotations

import math

import numpy as np
import scipy.stats

from simulator.readout.statistics.estimate import CONFIDENCE, Difference
from simulator.readout.statistics.spread import is_rounding

__all__ = ["paired_days"]

UNDEFINED = Difference(math.nan, math.nan, math.nan, math.nan)


def paired_days(control: np.ndarray, treatment: np.ndarray) -> Difference:
    """Mean over days of treatment - control, [days] each, with a t interval across days; for the metrics of a replay."""
    difference = treatment - control
    difference = difference[~np.isnan(difference)]
    if len(difference) < 2:
        return UNDEFINED
    if not difference.any():
        return Difference(0.0, 0.0, 0.0, 1.0)  # the arms are one and the same
    mean, variance = float(difference.mean()), float(difference.var(ddof=1))
    if is_rounding(variance, float(np.nanmax(np.abs(control)) ** 2)):
        return UNDEFINED  # days that all differ alike say nothing of how others would
    spread = math.sqrt(variance / len(difference))
    t = float(scipy.stats.t.ppf(0.5 + CONFIDENCE / 2, len(difference) - 1))
    p = float(2 * scipy.stats.t.sf(abs(mean) / spread, len(difference) - 1))
    return Difference(mean, mean - t * spread, mean + t * spread, p)
