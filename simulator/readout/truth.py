"""What a treatment was truly worth, where the simulator knows it: expected clicks an exposure over those of the control."""

from __future__ import annotations

import math
from collections import defaultdict

from simulator.run_folder.reader import Run

__all__ = ["KINDS", "true_uplift", "true_uplift_by_day"]

KINDS = ("experiment", "launch")


def true_uplift(run: Run, arm: str) -> dict[str, float | None]:
    """Kind of truth → relative uplift over all its days; None where it is not known."""
    found: dict[str, float | None] = {}
    for kind in KINDS:
        days = _sums(run, kind)
        whole = {name: [sum(part) for part in zip(*days[name].values(), strict=True)] for name in (run.control, arm)}
        relative = _ratio(whole[run.control], whole[arm])
        found[kind] = None if math.isnan(relative) else relative
    return found


def true_uplift_by_day(run: Run, arm: str) -> dict[str, dict[int, float]]:
    """Kind of truth → day, from 0 → relative uplift; a kind without a day is left out."""
    found = {}
    for kind in KINDS:
        days = _sums(run, kind)
        both = sorted(days[run.control].keys() & days[arm].keys())
        if both:
            found[kind] = {day: _ratio(days[run.control][day], days[arm][day]) for day in both}
    return found


def _sums(run: Run, kind: str) -> dict[str, dict[int, tuple[float, float]]]:
    """Arm → day → exposures, expected clicks."""
    found: dict[str, dict[int, tuple[float, float]]] = defaultdict(dict)
    for row in run.truth.to_pylist():
        if row["kind"] == kind:
            found[row["arm"]][row["day"]] = row["exposures"], row["expected_clicks"]
    return found


def _ratio(control: list[float] | tuple[float, float], treatment: list[float] | tuple[float, float]) -> float:
    """Of exposures and expected clicks each, or of nothing."""
    if not (control and treatment and control[0] and treatment[0] and control[1]):
        return math.nan
    return (treatment[1] / treatment[0]) / (control[1] / control[0]) - 1
