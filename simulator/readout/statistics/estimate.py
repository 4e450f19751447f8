"""What an estimate is, and how it shows itself."""

from __future__ import annotations

import math
from typing import NamedTuple

__all__ = ["CONFIDENCE", "Estimate"]

CONFIDENCE = 0.95


class Estimate(NamedTuple):
    """A relative uplift (0.01 is one percent) with its interval and p-value; NaN where it is not defined."""

    relative: float
    lo: float
    hi: float
    p: float

    def __str__(self) -> str:
        if math.isnan(self.relative):
            return "-"
        return f"{self.relative:+.2%} [{self.lo:+.2%}, {self.hi:+.2%}], p = {self.p:.3f}"


UNDEFINED = Estimate(math.nan, math.nan, math.nan, math.nan)
