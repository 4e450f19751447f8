"""CTR, and the quality of predictions, by day and arm."""

from __future__ import annotations

import math

from matplotlib.figure import Figure

from simulator.readout.plots.style import colour_of, days_of, head_room, new_figure, numbers, percent_axis, shade_phases
from simulator.readout.results import Results

__all__ = ["ctr", "difference_of_quality", "quality"]


def ctr(results: Results) -> Figure:
    figure, (axes,) = new_figure()
    for arm in results.run.arms:
        days = days_of(results, arm)
        x = [day.row["day"] + 1 for day in days]
        colour = colour_of(results, arm)
        axes.plot(x, numbers(days, "ctr"), color=colour, marker="o", ms=3.5, lw=1.6, label=arm)
        axes.fill_between(x, [d.lo for d in days], [d.hi for d in days], color=colour, alpha=0.16, lw=0)
    percent_axis(axes)
    head_room(axes)
    shade_phases(axes, results)
    axes.set(title="CTR per simulated day and arm, with 95% intervals across users", xlabel="day", ylabel="CTR")
    axes.legend(loc="lower right", ncols=len(results.run.arms))
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
            axes.plot(x, numbers(days, stamped), color=colour, marker="o", ms=3, lw=1.5, label=f"{arm}: stamps")
            axes.plot(x, numbers(days, progressive), color=colour, lw=1.1, ls="--", label=f"{arm}: progressive")
        if name == "calibration":
            axes.axhline(1, color="#333333", lw=0.8)
        axes.set_ylabel(name)
        if i == 0:
            head_room(axes, 0.14)
        shade_phases(axes, results, label=i == 0)
    all_axes[0].set_title("Quality of the predictions: as stamped when served, and progressive (test, then train)")
    all_axes[-1].set_xlabel("day")
    all_axes[-1].legend(loc="best", ncols=2, fontsize=8)
    return figure


def difference_of_quality(results: Results) -> Figure:
    figure, all_axes = new_figure(2, 6.0)
    control = {day.row["day"]: day for day in days_of(results, results.run.control)}
    for axes, (name, title) in zip(all_axes, (("auc", "AUC"), ("logloss", "log loss")), strict=True):
        for arm in results.run.treatments:
            days = [day for day in days_of(results, arm) if day.row["day"] in control]
            x = [day.row["day"] + 1 for day in days]
            theirs = numbers([control[day.row["day"]] for day in days], name)
            y = [a - b for a, b in zip(numbers(days, name), theirs, strict=True)]
            colour = colour_of(results, arm)
            axes.plot(x, y, color=colour, marker="o", ms=3, lw=1.3, label=arm)
            overall = results.differences[arm][name]
            ab = [day.row["day"] + 1 for day in days if day.row["phase"] == "ab"]
            if ab and not math.isnan(overall.mean):
                span = [min(ab) - 0.5, max(ab) + 0.5]
                axes.fill_between(span, overall.lo, overall.hi, color=colour, alpha=0.15, lw=0)
                axes.plot(span, [overall.mean] * 2, color=colour, ls="--", lw=1.2)
        axes.axhline(0, color="#333333", lw=0.8)
        axes.set_ylabel(f"difference in {title}")
        head_room(axes, 0.14)
        shade_phases(axes, results, label=name == "auc")
    all_axes[0].set_title(f"Treatment − {results.run.control}, stamps per day; band: mean over A/B with 95% t interval")
    all_axes[-1].set_xlabel("day")
    all_axes[0].legend(loc="best")
    return figure
