"""The uplift in parts of the users, corrected for how many parts were looked at."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from simulator.readout.statistics.estimate import UNDEFINED, Estimate
from simulator.readout.statistics.multiplicity import holm
from simulator.readout.statistics.uplift import cuped_or_raw
from simulator.readout.statistics.users import ArmRows, UserSums

__all__ = ["LEAST", "Segment", "SegmentUplift", "segment_uplifts"]

LEAST = 10  # users and clicks, in either arm: of fewer an interval is told by nobody


class Segment(NamedTuple):
    """Which rows of the users' table belong to which value.

    values: as text. of_row: arm → place in `values`, int [rows]; -1 where there is none. rows: arm → its rows.
    """

    name: str
    values: Sequence[str]
    of_row: Mapping[str, np.ndarray]
    rows: Mapping[str, ArmRows]


class SegmentUplift(NamedTuple):
    """An arm's uplift among the users of whom a segment has this value: CUPED, or raw of users whom A/A did not see.

    segment: activity, tenure, device … value: as text. users, exposures: of both arms together. adjusted_p: Holm's, over
    all segments, values and treatments. Not defined where either arm has fewer than 10 users or clicks there.
    """

    segment: str
    value: str
    arm: str
    users: int
    exposures: int
    estimate: Estimate
    adjusted_p: float


def segment_uplifts(segments: Iterable[Segment], control: str, treatments: Sequence[str]) -> list[SegmentUplift]:
    """A row a segment, value and treatment. A segment of one value is the whole, and is left out."""
    found: list[SegmentUplift] = []
    for segment in segments:
        rows: list[SegmentUplift] = []
        for place, value in enumerate(segment.values):
            sums = {arm: _sums(segment, place, arm) for arm in (control, *treatments)}
            if any(len(one.clicks) for one in sums.values()):
                rows += [_uplift(segment.name, value, arm, sums[control], sums[arm]) for arm in treatments]
        if len({row.value for row in rows}) > 1:
            found += rows
    corrected = holm({(row.segment, row.value, row.arm): row.estimate.p for row in found})
    return [row._replace(adjusted_p=corrected[row.segment, row.value, row.arm]) for row in found]


def _sums(segment: Segment, place: int, arm: str) -> UserSums:
    rows = segment.rows[arm]
    chosen = segment.of_row[arm] == place
    return rows.sums(chosen & rows.of_phase("ab"), chosen & rows.of_phase("aa"))


def _uplift(segment: str, value: str, arm: str, control: UserSums, treatment: UserSums) -> SegmentUplift:
    pair = control, treatment
    enough = min(min(len(one.clicks), one.clicks.sum()) for one in pair) >= LEAST
    estimate = cuped_or_raw(control, treatment) if enough else UNDEFINED
    users, exposures = (
        int(sum(counts)) for counts in zip(*((len(o.clicks), o.exposures.sum()) for o in pair), strict=True)
    )
    return SegmentUplift(segment, value, arm, users, exposures, estimate, math.nan)
