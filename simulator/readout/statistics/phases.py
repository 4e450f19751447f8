"""The CTR of each arm over each phase, with its interval across users."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from simulator.readout.statistics.ctr import ctr_interval
from simulator.readout.statistics.users import PHASES, ArmRows

__all__ = ["PhaseOfArm", "phases_of"]


class PhaseOfArm(NamedTuple):
    """phase: warmup, aa or ab. lo, hi: interval of the CTR; NaN with it for an arm that nobody was in."""

    phase: str
    arm: str
    users: int
    exposures: int
    clicks: int
    ctr: float
    lo: float
    hi: float


def phases_of(arms: Mapping[str, ArmRows]) -> list[PhaseOfArm]:
    """A row an arm of every phase that there was."""
    found = []
    for phase in PHASES:
        sums = {arm: rows.sums(rows.of_phase(phase)) for arm, rows in arms.items()}
        if any(len(one.clicks) for one in sums.values()):
            for arm, one in sums.items():
                counts = len(one.clicks), int(one.exposures.sum()), int(one.clicks.sum())
                found.append(PhaseOfArm(phase, arm, *counts, *ctr_interval(one.exposures, one.clicks)))
    return found
