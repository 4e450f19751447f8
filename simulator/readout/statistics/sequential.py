"""How a test may be looked at on every day and still be wrong no more often than it says: group-sequential bounds."""

from __future__ import annotations

from typing import NamedTuple

from simulator.readout.statistics.estimate import Estimate

__all__ = ["Look"]


class Look(NamedTuple):
    """What the test says on one day, had it been looked at on each day up to it.

    day: from 0, as in daily.csv. information: share of the planned A/B days that are over, in (0, 1]. estimate: over those
    days, with its fixed interval. bound: the critical z of this look. lo, hi: repeated confidence interval, of the relative
    uplift. crossed: whether |z| passed the bound.
    """

    day: int
    information: float
    estimate: Estimate
    bound: float
    lo: float
    hi: float
    crossed: bool
