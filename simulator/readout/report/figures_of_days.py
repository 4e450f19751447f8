"""Figures of what each arm did by day: its CTR, what of the catalogue it showed, and how fresh its models were."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from simulator.readout.plots.style import days_of
from simulator.readout.plots.svg.chart import chart
from simulator.readout.plots.svg.numbers import Words, as_percents, as_plain, number, percent
from simulator.readout.plots.svg.parts import Chart, Series, Stroke
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

__all__ = ["bounds", "catalogue", "ctr", "freshness"]


def ctr(results: Results) -> Figure | None:
    """A line an arm."""
    if not has_days(results):
        return None
    spread = "none" if is_crowded(results) else "band"
    series = [
        of_days(arm, days, lambda day: day.row["ctr"], lambda day: (day.lo, day.hi), colour=colour_of(results, arm), spread=spread)
        for arm in results.run.arms if (days := days_of(results, arm))
    ]  # fmt: skip
    look = Chart("CTR by day and arm", _of(results), "CTR", "day", percent, as_percents, height=260)
    svg = chart(look, series, shades_of(results), (), across_days(results))
    bands = "" if is_crowded(results) else "; the bands are 95% intervals across users"
    return Figure("ctr", "CTR by day", f"Clicks over exposures{bands}.", arms_of_legend(results), [Panel("", svg)])


def bounds(results: Results) -> Figure | None:
    """The expected CTR of the oracle, of random slates, and of each arm."""
    if results.bounds is None or not has_days(results):
        return None
    series, legend = [], arms_of_legend(results)
    for policy, of_day in results.bounds.days.items():
        days = sorted(of_day)
        x, y = [day + 1.0 for day in days], [of_day[day][0] for day in days]
        if policy in results.run.arms:
            series.append(Series(policy, x, y, colour=colour_of(results, policy)))
        else:
            stroke: Stroke = "solid" if policy == "oracle" else "dotted"
            series.append(Series(policy, x, y, colour=None, stroke=stroke, dots=False))
            legend.append(Entry(policy, None, stroke, dots=False))
    look = Chart("Expected CTR by day and policy", _of(results), "expected CTR", "day", percent, as_percents)
    svg = chart(look, series, shades_of(results), (), scale_of((x for one in series for x in one.x), 0.04))
    caption = "What each would have earned with the same requests, by the world's own click probabilities."
    return Figure("bounds", "Between chance and an oracle", caption, legend, [Panel("", svg)])


def catalogue(results: Results) -> Figure | None:
    """Coverage, Gini and the share of new items, a line an arm."""
    if not results.catalogue_days or not has_days(results):
        return None
    kinds: list[tuple[str, str, Words, Callable[..., list[str]]]] = [
        ("coverage", "coverage", percent, as_percents),
        ("gini", "Gini of exposure", lambda value: number(value, 3), as_plain),
        ("new_share", "share of new items", percent, as_percents),
    ]

    def value(name: str) -> Callable[[Day], float | None]:
        def found(day: Day) -> float | None:
            of_day = results.catalogue_days.get(day.row["arm"], {}).get(day.row["day"])
            return None if of_day is None else float(getattr(of_day, name))

        return found

    panels = [_panel(results, label, value(name), words, y_axis=axis) for name, label, words, axis in kinds]
    return Figure(
        "catalogue", "The catalogue by day",
        "Coverage: the share of the live items that were shown at all. Gini: 0 where all are shown alike, 1 where one item has every "
        "exposure. New: exposures of the youngest items over all.",
        arms_of_legend(results), panels, small=True,
    )  # fmt: skip


def freshness(results: Results) -> Figure | None:
    """How many versions served on a day, and how old what they had learnt was."""
    if not has_days(results):
        return None
    panels, captions = [], []
    if known(day.row.get("staleness_hours") for day in results.days):
        panels.append(
            _panel(results, "staleness in hours", _column("staleness_hours"), lambda hours: f"{number(hours, 1)} h")
        )
        captions.append(
            "Staleness: from the end of what a version had learnt to the exposures that it served, on average."
        )
    if known(day.row.get("model_versions") for day in results.days):
        panels.append(
            _panel(results, "versions that served", _column("model_versions"), lambda n: number(n, 0), whole=True)
        )
        captions.append("Versions: how many of its model's an arm served with on a day.")
    if not panels:
        return None
    return Figure("freshness", "Versions by day", " ".join(captions), arms_of_legend(results), panels, small=True)


def _column(name: str) -> Callable[[Day], float | None]:
    return lambda day: day.row.get(name)


def _panel(
    results: Results,
    label: str,
    value: Callable[[Day], float | None],
    words: Words,
    **look: Any,
) -> Panel:
    """A line an arm."""
    quiet = is_crowded(results)  # there the values of every line would be most of the page
    series = [
        of_days(arm, days_of(results, arm), value, colour=colour_of(results, arm), quiet=quiet)
        for arm in results.run.arms
    ]
    labels = Chart(f"{label} by day and arm", _of(results), "", "day", words, height=170, **look)
    return Panel(label, chart(labels, series, shades_of(results), (), across_days(results)))


def _of(results: Results) -> str:
    days = {day.row["day"] for day in results.days}
    return f"{len(results.run.arms)} arms over {len(days)} days"
