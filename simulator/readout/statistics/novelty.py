"""Whether the effect wears off: the uplift by how long ago a user met the treatment first."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simulator.readout.statistics.estimate import Estimate
from simulator.readout.statistics.uplift import cuped_or_raw
from simulator.readout.statistics.users import ArmRows

__all__ = ["SinceFirst", "since_first"]


class SinceFirst(NamedTuple):
    """The uplift on the day-th day after a user's first exposure in A/B; 0 is that day itself. users: of both arms."""

    day: int
    users: int
    estimate: Estimate


def since_first(control: ArmRows, treatment: ArmRows) -> list[SinceFirst]:
    """CUPED, or raw where A/A saw none of them. The last days are of users who came early, in either arm alike."""
    both = control, treatment
    ages = [_age(rows) for rows in both]
    found = []
    for day in range(max((int(age.max(initial=-1)) for age in ages), default=-1) + 1):
        sums = [rows.sums(age == day) for rows, age in zip(both, ages, strict=True)]
        found.append(SinceFirst(day, sum(len(one.clicks) for one in sums), cuped_or_raw(*sums)))
    return found


def _age(rows: ArmRows) -> np.ndarray:
    """Days since the user's first in A/B, of each row: int [rows]; -1 of a row before A/B."""
    a_b = rows.of_phase("ab")
    days = rows.day.astype(np.int64)
    first = np.full(len(rows.who), np.iinfo(np.int64).max)
    np.minimum.at(first, rows.user[a_b], days[a_b])
    return np.where(a_b, days - first[rows.user], -1)
