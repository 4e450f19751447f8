"""What is estimated, with its interval and p-value, and how that shows itself. NaN where it is not defined."""

from __future__ import annotations

import math
from typing import NamedTuple

__all__ = ["CONFIDENCE", "NO_DIFFERENCE", "UNDEFINED", "Difference", "Estimate"]

CONFIDENCE = 0.95


class Estimate(NamedTuple):
    """A relative uplift: 0.01 is one percent.

    >>> print(Estimate(0.01, -0.005, 0.025, 0.19))
    +1.00% [-0.50%, +2.50%], p = 0.190
    """

    relative: float
    lo: float
    hi: float
    p: float

    def __str__(self) -> str:
        if math.isnan(self.relative):
            return "-"
        return f"{self.relative:+.2%} [{self.lo:+.2%}, {self.hi:+.2%}], p = {self.p:.3f}"


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
        return f"{self.mean:+.5f} [{self.lo:+.5f}, {self.hi:+.5f}], p = {self.p:.3f}"


NO_DIFFERENCE = Difference(math.nan, math.nan, math.nan, math.nan)
