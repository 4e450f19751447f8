"""How a replay's arms differ from the control: by day, and up to each day."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from simulator.readout.differences import Differences
from simulator.readout.plots.style import (
    MOST_BANDS,
    colour_of,
    head_room,
    legend_below,
    line_of,
    marker_of,
    new_figure,
    say_undefined,
    shade_phases,
    title,
)
from simulator.readout.results import METRIC_LABELS, Results

__all__ = ["difference_of_quality"]

WIDTH_OF_A_DAY = 0.5  # that the arms' points of one day lie apart over


def difference_of_quality(results: Results) -> Figure:
    treatments = results.run.treatments
    figure, all_axes = new_figure(len(METRIC_LABELS), 2.7 * len(METRIC_LABELS))
    banded = len(treatments) <= MOST_BANDS
    for axes, (metric, label) in zip(all_axes, METRIC_LABELS.items(), strict=True):
        known = 0
        for i, arm in enumerate(treatments):
            shift = WIDTH_OF_A_DAY * ((i + 0.5) / len(treatments) - 0.5)
            style = {"color": colour_of(results, arm), "marker": marker_of(results, arm)}
            known += _draw(axes, results.differences[arm][metric], shift, banded, **style)
        axes.axhline(0, color="#333333", lw=0.8)
        if not known:
            say_undefined(axes)
        axes.set_ylabel(f"difference in {label}")
        head_room(axes, 0.14)
        shade_phases(axes, results, label=axes is all_axes[0])
    title(figure, f"Treatment − {results.run.control}, of the stamps")
    all_axes[-1].set_xlabel("day")
    arms = [
        line_of(arm, color=colour_of(results, arm), marker=marker_of(results, arm), ms=4, lw=1.8) for arm in treatments
    ]
    interval = ", with its 95% interval across blocks of time" if banded else ""
    kinds = [
        line_of(f"a day{interval}", color="#555555", marker="o", ms=3.5, lw=0.9, alpha=0.7),
        line_of(f"all days so far{interval}", color="#555555", lw=1.8),
    ]
    legend_below(figure, [*arms, *kinds])
    return figure


def _draw(axes: Axes, found: Differences, shift: float, banded: bool, color: str, marker: str) -> int:
    """Points of the days, a line of all so far; how many days are defined."""
    days = [(day.day + 1 + shift, day.difference) for day in found.days if not math.isnan(day.difference.mean)]
    if days:
        y = [of.mean for _, of in days]
        spread = [[of.mean - of.lo for _, of in days], [of.hi - of.mean for _, of in days]] if banded else None
        x = [x for x, _ in days]
        axes.errorbar(x, y, spread, fmt=marker, ms=3, lw=0.9, capsize=0, color=color, alpha=0.55)
    course = [(day.day + 1, day.so_far) for day in found.days if day.so_far is not None]
    line = [(x, of) for x, of in course if not math.isnan(of.mean)]
    if line:
        x = [x for x, _ in line]
        axes.plot(x, [of.mean for _, of in line], color=color, lw=1.8)
        if banded:
            axes.fill_between(x, [of.lo for _, of in line], [of.hi for _, of in line], color=color, alpha=0.16, lw=0)
    return len(days)
