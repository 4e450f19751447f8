"""How a replay's arms differ from the control: over the measured days, day by day, and up to each day."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from simulator.readout.statistics.blocks import METRICS, Blocks, difference
from simulator.readout.statistics.estimate import Difference
from simulator.run_folder.reader import Run

__all__ = ["DayDifference", "Differences", "differences"]

SUMS = ("weight", "labels", "predictions", "cross_entropy")


class DayDifference(NamedTuple):
    """A day's difference to the control. so_far: from the first of the measured days to this one; None on other days."""

    day: int
    phase: str
    difference: Difference
    so_far: Difference | None


class Differences(NamedTuple):
    """Treatment - control of one metric of the stamps. whole: over the days of A/B; of A/A in a run without A/B."""

    whole: Difference
    days: list[DayDifference]


def differences(run: Run) -> dict[str, dict[str, Differences]]:
    """Treatment → metric → Differences, of a replay. Undefined where the folder has no blocks yet."""
    rows = [] if run.blocks is None else run.blocks.to_pylist()
    of_arm: dict[str, dict[tuple[int, int], dict[str, Any]]] = {arm: {} for arm in run.arms}
    for row in rows:
        of_arm[row["arm"]][row["day"], row["block"]] = row
    daily = run.daily.to_pylist()
    auc = {(row["arm"], row["day"]): row["auc"] for row in daily}
    found: dict[str, dict[str, Differences]] = {}
    for arm in run.treatments:
        both = (run.control, arm)
        # Of a run that stopped, an arm may have a day more than another.
        phases = {row["day"]: row["phase"] for row in daily if all((name, row["day"]) in auc for name in both)}
        places = sorted(place for place in of_arm[run.control].keys() | of_arm[arm].keys() if place[0] in phases)
        pair = [_blocks(places, of_arm[name], {day: auc[name, day] for day in phases}) for name in both]
        found[arm] = {metric: _by_day(metric, pair[0], pair[1], phases) for metric in METRICS}
    return found


def _blocks(
    places: Sequence[tuple[int, int]],
    rows: Mapping[tuple[int, int], Mapping[str, Any]],
    auc: Mapping[int, float | None],
) -> Blocks:
    """An arm's blocks in these places; of weight 0 where nobody of the arm came."""
    nothing = dict.fromkeys(SUMS, 0.0) | {"auc_without": 0.0}
    taken = [rows.get(place, nothing) for place in places]
    days = [day for day, _ in places]
    sums = {name: _column(row[name] for row in taken) for name in (*SUMS, "auc_without")}
    return Blocks(day=np.array(days, dtype=int), auc=_column(auc[day] for day in days), **sums)


def _column(values: Iterable[float | None]) -> np.ndarray:
    return np.array([math.nan if value is None else value for value in values], dtype=float)


def _by_day(metric: str, control: Blocks, treatment: Blocks, phases: Mapping[int, str]) -> Differences:
    measured = "ab" if "ab" in phases.values() else "aa"
    known = np.ones(len(control.day), dtype=bool)
    if metric == "auc":  # a day on which an arm's is not defined is left out of both
        known = ~np.isnan(control.auc) & ~np.isnan(treatment.auc)

    def over(rows: np.ndarray) -> Difference:
        return difference(*(METRICS[metric](blocks.part(rows & known)) for blocks in (control, treatment)))

    in_measured = np.array([phases[day] == measured for day in control.day.tolist()], dtype=bool)
    days = []
    for day, phase in sorted(phases.items()):
        so_far = over(in_measured & (control.day <= day)) if phase == measured else None
        days.append(DayDifference(day, phase, over(control.day == day), so_far))
    return Differences(over(in_measured), days)
