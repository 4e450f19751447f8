"""CTR, and the quality of predictions, by day and arm."""

from __future__ import annotations

import math

from matplotlib.figure import Figure

from simulator.readout.plots.style import (
    MOST_BANDS,
    colour_of,
    days_of,
    head_room,
    legend_below,
    line_of,
    marker_of,
    new_figure,
    numbers,
    percent_axis,
    say_undefined,
    shade_phases,
    title,
)
from simulator.readout.results import Results

__all__ = ["ctr", "quality"]


def ctr(results: Results) -> Figure:
    figure, (axes,) = new_figure()
    banded = len(results.run.arms) <= MOST_BANDS
    for arm in results.run.arms:
        days = days_of(results, arm)
        x = [day.row["day"] + 1 for day in days]
        colour = colour_of(results, arm)
        axes.plot(x, numbers(days, "ctr"), color=colour, marker=marker_of(results, arm), ms=3.5, lw=1.6, label=arm)
        if banded:
            axes.fill_between(x, [d.lo for d in days], [d.hi for d in days], color=colour, alpha=0.16, lw=0)
    percent_axis(axes)
    head_room(axes)
    shade_phases(axes, results)
    title(figure, "CTR per simulated day and arm" + (", with 95% intervals across users" if banded else ""))
    axes.set(xlabel="day", ylabel="CTR")
    legend_below(figure, axes.get_legend_handles_labels()[0])
    return figure


def quality(results: Results) -> Figure:
    figure, all_axes = new_figure(3, 7.4)
    panels = (
        ("auc", "progressive_auc", "AUC"),
        ("logloss", "progressive_logloss", "log loss"),
        ("calibration", "progressive_calibration", "calibration"),
    )
    for i, (axes, (stamped, progressive, name)) in enumerate(zip(all_axes, panels, strict=True)):
        for arm in results.run.arms:
            days = days_of(results, arm)
            x = [day.row["day"] + 1 for day in days]
            colour = colour_of(results, arm)
            axes.plot(x, numbers(days, stamped), color=colour, marker=marker_of(results, arm), ms=3, lw=1.5)
            axes.plot(x, numbers(days, progressive), color=colour, lw=1.1, ls="--")
        if all(math.isnan(value) for kind in (stamped, progressive) for value in numbers(results.days, kind)):
            say_undefined(axes)
        elif name == "calibration":
            axes.axhline(1, color="#333333", lw=0.8)
        axes.set_ylabel(name)
        if i == 0:
            head_room(axes, 0.14)
        shade_phases(axes, results, label=i == 0)
    title(figure, "Quality of the predictions, per simulated day and arm")
    all_axes[-1].set_xlabel("day")
    arms = [
        line_of(arm, color=colour_of(results, arm), marker=marker_of(results, arm), ms=4, lw=1.5)
        for arm in results.run.arms
    ]
    kinds = [
        line_of("as stamped when served", color="#555555", marker="o", ms=4, lw=1.5),
        line_of("progressive (test, then train)", color="#555555", ls="--", lw=1.1),
    ]
    legend_below(figure, arms + kinds)
    return figure
