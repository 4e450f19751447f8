"""Pairs of arms over seeds: the mean difference and its interval."""

from __future__ import annotations

import numpy as np

from simulator.readout.statistics.estimate import Difference
from simulator.studies.across_seeds import across_seeds

__all__ = ["paired_seeds"]


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
