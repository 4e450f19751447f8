"""What is estimated, with its interval and p-value, and how that shows itself. NaN where it is not defined."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

__all__ = ["CONFIDENCE", "NO_DIFFERENCE", "UNDEFINED", "Difference", "Estimate", "p_text"]

CONFIDENCE = 0.95
Z = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)


def p_text(p: float) -> str:
    """As people write it: no p-value is 0.

    >>> p_text(0.04), p_text(1e-9)
    ('p = 0.040', 'p < 0.001')
    """
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


class Estimate(NamedTuple):
    """A relative uplift: 0.01 is one percent.

    >>> print(Estimate(0.01, -0.005, 0.025, 0.19))
    +1.00% [-0.50%, +2.50%], p = 0.190
    """

    relative: float
    lo: float
    hi: float
    p: float

    @property
    def log_error(self) -> float:
        """Standard error of log(1 + relative), as a normal interval of this width has it. NaN where nothing is claimed.

        >>> round(Estimate(0.0, -0.0194, 0.0198, 1.0).log_error, 4)
        0.01
        """
        if math.isnan(self.relative) or not self.lo > -1:
            return math.nan
        return (math.log1p(self.hi) - math.log1p(self.lo)) / (2 * Z)

    def __str__(self) -> str:
        if math.isnan(self.relative):
            return "-"
        return f"{self.relative:+.2%} [{self.lo:+.2%}, {self.hi:+.2%}], {p_text(self.p)}"


UNDEFINED = Estimate(math.nan, math.nan, math.nan, math.nan)


class Difference(NamedTuple):
    """A mean difference in the unit of what was measured.

    >>> print(Difference(0.01, -0.005, 0.025, 0.19))
    +0.01000 [-0.00500, +0.02500], p = 0.190
    """

    mean: float
    lo: float
    hi: float
    p: float

    def __str__(self) -> str:
        if math.isnan(self.mean):
            return "-"
        return f"{self.mean:+.5f} [{self.lo:+.5f}, {self.hi:+.5f}], {p_text(self.p)}"


NO_DIFFERENCE = Difference(math.nan, math.nan, math.nan, math.nan)
