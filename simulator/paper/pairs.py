"""Pairs of arms over seeds: the mean difference, its interval, and p-values for a whole table of them."""

from __future__ import annotations

import math

import numpy as np

from simulator.readout.statistics.estimate import Difference
from simulator.studies.across_seeds import across_seeds

__all__ = ["holm", "paired_seeds"]


def paired_seeds(backbone: np.ndarray, arm: np.ndarray, test_share: float) -> Difference:
    """The mean over seeds of arm - backbone, [seeds] each, with a t interval.

    test_share: test rows over training rows where each seed splits the rows anew, 0 where all have one split. Splits of the
    same rows overlap, so that their differences vary less between seeds than between data sets; the variance of the mean is
    then (1 / seeds + test_share) times theirs (Nadeau and Bengio 2003, "Inference for the generalization error").
    With one split the interval speaks of other seeds on the same test rows alone.

    >>> print(paired_seeds(np.array([0.70, 0.71, 0.72]), np.array([0.71, 0.73, 0.73]), test_share=0))
    +0.01333 [-0.00101, +0.02768], p = 0.057
    """
    return across_seeds(arm - backbone, test_share)


def holm(p: list[float]) -> list[float]:
    """The p-values corrected for their number (Holm 1979, "A simple sequentially rejective multiple test procedure").

    One below 0.05 then stands with at most a 5% chance that any such is false. NaN stays, and does not count.

    >>> holm([0.01, 0.04, math.nan, 0.03])
    [0.03, 0.06, nan, 0.06]
    """
    order = [i for i in np.argsort(p) if not math.isnan(p[i])]
    corrected, largest = [math.nan] * len(p), 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p[i]))
        corrected[i] = largest
    return corrected
