"""Whether the effect wears off: the uplift by how long ago a user met the treatment first."""

from __future__ import annotations

from typing import NamedTuple

from simulator.readout.statistics.estimate import Estimate

__all__ = ["SinceFirst"]


class SinceFirst(NamedTuple):
    """The uplift on the day-th day after a user's first exposure in A/B; 0 is that day itself. users: of both arms."""

    day: int
    users: int
    estimate: Estimate
