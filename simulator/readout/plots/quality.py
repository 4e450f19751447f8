"""CTR, and the quality of predictions, by day and arm."""

from __future__ import annotations

import math

from matplotlib.figure import Figure

from simulator.readout.plots.style import (
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

__all__ = ["ctr", "difference_of_quality", "quality"]

# More bands than these lie over each other and hide the curves; the tables have every interval.
MOST_BANDS = 4


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


def difference_of_quality(results: Results) -> Figure:
    figure, all_axes = new_figure(2, 6.0)
    control = {day.row["day"]: day for day in days_of(results, results.run.control)}
    banded = len(results.run.treatments) <= MOST_BANDS
    for axes, (name, words) in zip(all_axes, (("auc", "AUC"), ("logloss", "log loss")), strict=True):
        known = 0
        for arm in results.run.treatments:
            days = [day for day in days_of(results, arm) if day.row["day"] in control]
            x = [day.row["day"] + 1 for day in days]
            theirs = numbers([control[day.row["day"]] for day in days], name)
            y = [a - b for a, b in zip(numbers(days, name), theirs, strict=True)]
            colour = colour_of(results, arm)
            axes.plot(x, y, color=colour, marker=marker_of(results, arm), ms=3, lw=1.3, label=arm)
            known += sum(not math.isnan(value) for value in y)
            overall = results.differences[arm][name]
            ab = [day.row["day"] + 1 for day in days if day.row["phase"] == "ab"]
            if ab and not math.isnan(overall.mean):
                span = [min(ab) - 0.5, max(ab) + 0.5]
                if banded:
                    axes.fill_between(span, overall.lo, overall.hi, color=colour, alpha=0.15, lw=0)
                axes.plot(span, [overall.mean] * 2, color=colour, ls="--", lw=1.2)
        axes.axhline(0, color="#333333", lw=0.8)
        if not known:
            say_undefined(axes)
        axes.set_ylabel(f"difference in {words}")
        head_room(axes, 0.14)
        shade_phases(axes, results, label=name == "auc")
    mean = "mean over A/B, with its 95% t interval" if banded else "mean over A/B"
    title(figure, f"Treatment − {results.run.control}, stamps per day")
    all_axes[-1].set_xlabel("day")
    arms = all_axes[0].get_legend_handles_labels()[0]
    legend_below(figure, [*arms, line_of(mean, color="#555555", ls="--", lw=1.2)])
    return figure
