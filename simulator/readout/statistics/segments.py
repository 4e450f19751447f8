"""The uplift in parts of the users, corrected for how many parts were looked at."""

from __future__ import annotations

from typing import NamedTuple

from simulator.readout.statistics.estimate import Estimate

__all__ = ["SegmentUplift"]


class SegmentUplift(NamedTuple):
    """An arm's uplift among the users of whom a segment has this value.

    segment: activity, tenure, device … value: as text. users, exposures: of both arms together. adjusted_p: Holm's, over
    all segments, values and treatments. NaN where the segment holds too little.
    """

    segment: str
    value: str
    arm: str
    users: int
    exposures: int
    estimate: Estimate
    adjusted_p: float
