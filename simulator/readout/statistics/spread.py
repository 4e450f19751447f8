"""How far users' shares in a ratio's error spread, and when that is nothing but rounding."""

from __future__ import annotations

import numpy as np

__all__ = ["is_rounding", "ratio_errors"]

# Variances of doubles that should be 0 come out at some 1e-16 of their parts, of either sign.
ROUNDING = 1e-10


def ratio_errors(numerator: np.ndarray, denominator: np.ndarray) -> tuple[np.ndarray, float]:
    """Each user's share in the relative error of a ratio of sums (delta method), x / mean(x) - y / mean(y), [users].

    And the variance that it would have if the two did not vary together: the measure of what is rounding. 0 for a
    numerator without any sum.
    """
    parts = [of / of.mean() if of.any() else np.zeros(len(of)) for of in (numerator, denominator)]
    return parts[0] - parts[1] if numerator.any() else parts[0], float(sum(np.var(part, ddof=1) for part in parts))


def is_rounding(variance: float, scale: float) -> bool:
    """Whether a variance, made of parts as large as `scale`, is none."""
    return not variance > ROUNDING * scale
