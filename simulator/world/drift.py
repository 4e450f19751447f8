"""Drift as a pure function of time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from simulator.world.clock import DAY_MS, EPOCH_MS
from simulator.world.config import DriftConfig, GradualDrift, SuddenDrift

__all__ = ["drift_level", "share_of_drift"]


def share_of_drift(drift: DriftConfig, day: float) -> float:
    """How much of the drift is there at a time in days: from 0 to 1.

    >>> share_of_drift(SuddenDrift(kind="sudden", target="taste", magnitude=1.0, day=2), 1.9)
    0.0
    """
    if isinstance(drift, GradualDrift):
        return min(max((day - drift.start_day) / (drift.end_day - drift.start_day), 0.0), 1.0)
    if isinstance(drift, SuddenDrift):
        return float(day >= drift.day)
    if day < drift.start_day:
        return 0.0
    return 0.5 - 0.5 * math.cos(2 * math.pi * (day - drift.start_day) / drift.period_days)


def drift_level(
    drifts: Sequence[DriftConfig], target: Literal["taste", "popularity", "base_rate"], time_ms: int
) -> float:
    """The sum of magnitude × share over the drifts of a target; shares are capped at 1."""
    day = (time_ms - EPOCH_MS) / DAY_MS
    total = sum(drift.magnitude * share_of_drift(drift, day) for drift in drifts if drift.target == target)
    return total if target == "base_rate" else min(max(total, 0.0), 1.0)
