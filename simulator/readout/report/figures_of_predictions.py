"""Figures of how well the arms predict: by day beside the world's own ceiling, bin by bin, and as their monitors read it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from simulator.readout.compute import sudden_drifts
from simulator.readout.plots.reliability import LEAST, bins_of
from simulator.readout.plots.style import days_of
from simulator.readout.plots.svg.chart import chart
from simulator.readout.plots.svg.numbers import as_percents, number, percent
from simulator.readout.plots.svg.parts import Chart, Rule, Series, Shade
from simulator.readout.plots.svg.scale import known, scale_of
from simulator.readout.report.figure import (
    Entry,
    Figure,
    Panel,
    across_days,
    arms_of_legend,
    colour_of,
    has_days,
    is_crowded,
    of_days,
    shades_of,
)
from simulator.readout.results import Day, Results

__all__ = ["monitor", "quality", "reliability"]

NOON = 0.5  # a tick's end is a moment, on an axis where a day's number stands at its noon
MOST_TICKS = 600  # that a line is drawn through: a picture is hardly wider
PANELS = {
    "auc": ("AUC", "progressive_auc", 1),
    "logloss": ("log loss", "progressive_logloss", 2),
    "calibration": ("calibration", "progressive_calibration", None),
}  # metric → what it is called, its progressive column, its place in Bounds.days


def quality(results: Results) -> Figure | None:
    """A panel a metric: of the stamps, of the learner before it learnt, and of the world's own probabilities on the same slates."""
    if not has_days(results):
        return None
    panels = []
    arms = results.run.arms
    ceilings = (
        [] if results.bounds is None or is_crowded(results) else [arm for arm in arms if arm in results.bounds.days]
    )
    progressive = any(known(day.row.get(column) for day in results.days) for _, column, _ in PANELS.values())
    for metric, (label, column, place) in PANELS.items():
        series = []
        for arm in arms:
            days, colour = days_of(results, arm), colour_of(results, arm)
            series.append(of_days(arm, days, _column(metric), colour=colour))
            if progressive and not is_crowded(results):
                series.append(
                    of_days(
                        f"{arm}, progressive",
                        days,
                        _column(column),
                        colour=colour,
                        stroke="dashed",
                        dots=False,
                    )
                )
        if place is not None and results.bounds is not None:
            series += [_ceiling(results, arm, place) for arm in ceilings]
        if not any(known(one.y) for one in series):
            continue
        look = Chart(
            f"{label} by day and arm", "Of the stamps, and of the learner before it learnt", "", "day",
            lambda value: number(value, 4), height=190,
        )  # fmt: skip
        rules = [Rule(1.0, "calibrated")] if metric == "calibration" else []
        panels.append(Panel(label, chart(look, series, shades_of(results), rules, across_days(results))))
    if not panels:
        return None
    legend = arms_of_legend(results)
    if progressive and not is_crowded(results):
        legend += [Entry("stamped when served", -1), Entry("progressive (test, then train)", -1, "dashed", dots=False)]
    if ceilings:
        legend.append(Entry("the world's own probabilities, on the arm's slates", -1, "dotted", dots=False))
    return Figure(
        "quality", "Predictions by day",
        "Stamps are judged by the labels that came. Calibration: sum of predictions over sum of clicks, 1 where they agree."
        + (" No model can do better than the dotted line on the slates that its arm showed." if ceilings else ""),
        legend, panels,
    )  # fmt: skip


def _column(name: str) -> Callable[[Day], float | None]:
    return lambda day: day.row.get(name)


def _ceiling(results: Results, arm: str, place: int) -> Series:
    assert results.bounds is not None
    of_day = results.bounds.days[arm]
    days = sorted(of_day)
    return Series(
        f"{arm}, ceiling", [day + 1.0 for day in days], [of_day[day][place] for day in days],
        colour=colour_of(results, arm), stroke="dotted", dots=False,
    )  # fmt: skip


def reliability(results: Results) -> Figure | None:
    """Observed against predicted CTR, a line an arm; on the diagonal a prediction means what it says."""
    found = bins_of(results)
    if not found:
        return None
    ends = [end for bins in found.values() for one in bins for end in (one.predicted, one.observed, one.hi)]
    both = scale_of(ends, 0.04, root=True)
    diagonal = Series(
        "as predicted", [0.0, both.hi], [0.0, both.hi], colour=None, stroke="dotted", dots=False, quiet=True
    )
    series = [
        Series(
            arm, [one.predicted for one in bins], [one.observed for one in bins], [one.lo for one in bins], [one.hi for one in bins],
            colour=colour_of(results, arm), spread="none" if is_crowded(results) else "whiskers",
        )
        for arm, bins in found.items()
    ]  # fmt: skip
    look = Chart(
        "Observed against predicted CTR", "By bins of the stamps", "observed CTR", "predicted CTR", percent, as_percents,
        lambda p: f"pCTR {percent(p)}", as_percents, height=300, root=True,
    )  # fmt: skip
    return Figure(
        "reliability", "Does a prediction mean what it says?",
        "Clicks over exposures of each bin of pCTR, with 95% intervals, in A/B; both axes by square roots. Above the dotted line "
        f"clicks were more frequent than predicted. Bins of fewer than {LEAST} exposures are left out.",
        [*arms_of_legend(results, list(found)), Entry("as predicted", None, "dotted", dots=False)],
        [Panel("", chart(look, [diagonal, *series], across=both, down=both))], small=True,
    )  # fmt: skip


def monitor(results: Results) -> Figure | None:
    """Each learner's rolling log loss and calibration; values are read where there is an alarm."""
    if results.run.monitor is None:
        return None
    of_learner: dict[str, list[dict[str, Any]]] = {}
    for row in results.run.monitor.to_pylist():
        of_learner.setdefault(row["learner"], []).append(row)
    drifts = [Shade(day + NOON, day + NOON, "drift", "moment") for day in sudden_drifts(results.run)]
    panels = []
    for name, label in (("logloss", "rolling log loss"), ("calibration", "rolling calibration")):
        series = []
        for learner, rows in of_learner.items():
            colour, few = colour_of(results, rows[0]["arm"]), rows[:: math.ceil(len(rows) / MOST_TICKS)]
            line = _read(learner, few, name, colour)
            series.append(line._replace(stroke="solid" if learner in results.run.arms else "dashed", quiet=True))
            alarms = _read(f"alarm of {learner}", [row for row in rows if row["alarm"]], name, colour)
            series.append(alarms._replace(stroke="none"))
        look = Chart(f"{label} by learner", "Points are alarms", "", "day", lambda value: number(value, 4), height=190)
        rules = [Rule(1.0, "calibrated")] if name == "calibration" else []
        svg = chart(look, series, [*shades_of(results), *drifts], rules, across_days(results))
        panels.append(Panel(label, svg))
    return Figure(
        "monitor", "What the monitors read",
        "Over the newest examples of each learner, tick by tick. Points are alarms"
        + (", upright lines sudden drifts." if drifts else "."),
        [
            Entry(learner, colour_of(results, rows[0]["arm"]), "solid" if learner in results.run.arms else "dashed", dots=False)
            for learner, rows in of_learner.items()
        ],
        panels,
    )  # fmt: skip


def _read(name: str, rows: Sequence[Mapping[str, Any]], column: str, colour: int) -> Series:
    y = [math.nan if row[column] is None else row[column] for row in rows]
    return Series(name, [row["time"] + NOON for row in rows], y, colour=colour)
