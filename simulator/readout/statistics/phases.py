"""The CTR of each arm over each phase, with its interval across users."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["PhaseOfArm"]


class PhaseOfArm(NamedTuple):
    """phase: warmup, aa or ab. lo, hi: interval of the CTR."""

    phase: str
    arm: str
    users: int
    exposures: int
    clicks: int
    ctr: float
    lo: float
    hi: float
