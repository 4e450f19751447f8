"""What the learners' monitors read, tick by tick."""

from __future__ import annotations

import math
from typing import Any

from matplotlib.figure import Figure

from simulator.readout.compute import sudden_drifts
from simulator.readout.plots.style import colour_of, legend_below, line_of, new_figure, shade_phases, title
from simulator.readout.results import Results

__all__ = ["monitor"]


def monitor(results: Results) -> Figure:
    """Each learner's rolling log loss and calibration, in the colour of the arm whose settings it has."""
    assert results.run.monitor is not None
    by_learner: dict[str, list[dict[str, Any]]] = {}
    for row in results.run.monitor.to_pylist():
        by_learner.setdefault(row["learner"], []).append(row)
    figure, all_axes = new_figure(2, 6.0)
    for axes, name in zip(all_axes, ("logloss", "calibration"), strict=True):
        for learner, rows in by_learner.items():
            # A tick's end, on an axis where a day's number stands at its noon.
            x = [row["time"] + 0.5 for row in rows]
            y = [math.nan if row[name] is None else row[name] for row in rows]
            colour, style = colour_of(results, rows[0]["arm"]), "-" if learner in results.run.arms else "--"
            axes.plot(x, y, style, color=colour, lw=1.4, label=learner)
            # Alarms lie along the bottom, a row an arm: those of one moment would hide each other on the curves.
            alarms = [at for at, row in zip(x, rows, strict=True) if row["alarm"]]
            height = 0.04 + 0.06 * results.run.arms.index(rows[0]["arm"])
            across = axes.get_xaxis_transform()
            axes.plot(alarms, [height] * len(alarms), "^", color=colour, ms=8, mec="white", transform=across, zorder=3)
        for day in sudden_drifts(results.run):
            axes.axvline(day + 0.5, color="#333333", lw=1.0, ls=":")
        low, high = axes.get_ylim()
        axes.set_ylim(low - 0.08 * len(results.run.arms) * (high - low), high + 0.15 * (high - low))
        shade_phases(axes, results, label=name == "logloss")
    title(figure, "Rolling log loss and calibration, as the monitors read them")
    all_axes[0].set(ylabel="log loss")
    all_axes[1].axhline(1, color="#333333", lw=0.8)
    all_axes[1].set(ylabel="calibration", xlabel="day")
    alarm = line_of("alarm", color="#555555", marker="^", ms=7, mec="white", ls="none")
    legend_below(figure, [*all_axes[1].get_legend_handles_labels()[0], alarm])
    return figure
