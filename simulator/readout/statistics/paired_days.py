"""The difference that two arms' days show."""

from __future__ import annotations

import math

import numpy as np
import scipy.stats

from simulator.readout.statistics.estimate import CONFIDENCE, Difference

__all__ = ["paired_days"]


def paired_days(control: np.ndarray, treatment: np.ndarray) -> Difference:
    """Mean over days of treatment - control, [days] each, with a t interval across days; for the metrics of a replay."""
    difference = treatment - control
    difference = difference[~np.isnan(difference)]
    if len(difference) < 2:
        return Difference(math.nan, math.nan, math.nan, math.nan)
    mean, spread = float(difference.mean()), float(difference.std(ddof=1) / math.sqrt(len(difference)))
    if spread == 0:
        return Difference(mean, mean, mean, 1.0 if mean == 0 else 0.0)
    t = float(scipy.stats.t.ppf(0.5 + CONFIDENCE / 2, len(difference) - 1))
    p = float(2 * scipy.stats.t.sf(abs(mean) / spread, len(difference) - 1))
    return Difference(mean, mean - t * spread, mean + t * spread, p)
