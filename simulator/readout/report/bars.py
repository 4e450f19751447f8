"""The bars in the page's tables: one scale a column, and what stands over it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from markupsafe import Markup

from simulator.readout.plots.svg.interval import axis_of_intervals, interval_bar, reach_of
from simulator.readout.plots.svg.numbers import as_percents, as_plain
from simulator.readout.plots.svg.scale import Scale, scale_of
from simulator.readout.report.figure import colour_of
from simulator.readout.results import METRIC_LABELS, Results
from simulator.readout.statistics.estimate import Difference, Estimate

__all__ = ["bars_of"]

Labels = Callable[[Sequence[float]], list[str]]


def _differences(ticks: Sequence[float]) -> list[str]:
    return as_plain(ticks, sign=True)


def _effects(ticks: Sequence[float]) -> list[str]:
    return as_percents(ticks, sign=True)


def _levels(values: Iterable[Sequence[float]]) -> Scale:
    """What is not held against 0: its scale has room for all, and for nothing else."""
    return scale_of((one for some in values for one in some), 0.05)


def _columns(results: Results) -> dict[str, tuple[Scale, Labels]]:
    """Column → its scale, and how its ticks are written. All of a metric's have one of their own."""
    truths = [value for found in results.truth.values() for value in found.values()]
    estimates = [(e.lo, e.hi) for found in results.uplift.values() for e in found.values()]
    found: dict[str, tuple[Scale, Labels]] = {
        "uplift": (reach_of(estimates, truths), _effects),
        "segments": (reach_of((one.estimate.lo, one.estimate.hi) for one in results.segments), _effects),
        "phases": (_levels((one.lo, one.hi) for one in results.phases), as_percents),
    }
    for metric in METRIC_LABELS:
        whole = [of[metric].whole for of in results.differences.values()]
        found[f"difference.{metric}"] = reach_of((one.lo, one.hi) for one in whole), _differences
    if results.bounds is not None:
        ctrs = [results.bounds.oracle_ctr, results.bounds.random_ctr, *results.bounds.ctr.values()]
        found["bounds"] = _levels([ctrs]), as_percents
    if results.ranking is not None:
        for metric in results.ranking.metrics:
            of_arms = [of[metric] for of in results.ranking.measured.values()]
            found[f"ranking.{metric}"] = _levels((one.lo, one.hi) for one in of_arms), as_plain
    values = [value for policy in results.policies.values() for value in policy.values.values()]
    logged = [policy.logged for policy in results.policies.values()]
    found["policies"] = _levels([logged, *((one.lo, one.hi) for one in values)]), as_plain
    return found


def bars_of(results: Results) -> dict[str, Any]:
    """For the templates: `axis(column)`, and what stands in its rows: `bar(column, estimate, arm, truth)`, `tick(column, truth)`
    of a truth alone, `level(column, value, lo, hi, arm)` of what is not held against 0."""
    columns = _columns(results)

    def colour(name: str) -> int | None:
        return colour_of(results, name) if name in results.run.arms else None

    def axis(column: str) -> Markup:
        return axis_of_intervals(*columns[column])

    def bar(column: str, found: Estimate | Difference, arm: str, truth: float | None = None) -> Markup:
        return interval_bar(*found[:3], columns[column][0], colour(arm), truth)

    def level(column: str, value: float, lo: float, hi: float, arm: str) -> Markup:
        return interval_bar(value, lo, hi, columns[column][0], colour(arm), rules=())

    def tick(column: str, value: float) -> Markup:
        return interval_bar(math.nan, math.nan, math.nan, columns[column][0], truth=value)

    return {"axis": axis, "bar": bar, "level": level, "tick": tick}
