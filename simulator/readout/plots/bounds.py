"""What there was to win: the expected CTR of each arm between random slates and an oracle's."""

from __future__ import annotations

from matplotlib.figure import Figure

from simulator.readout.plots.style import (
    colour_of,
    legend_below,
    marker_of,
    new_figure,
    percent_axis,
    shade_phases,
    title,
)
from simulator.readout.results import Results

__all__ = ["bounds"]


def bounds(results: Results) -> Figure:
    """A line a policy, by day."""
    assert results.bounds is not None
    figure, (axes,) = new_figure()
    for policy, days in results.bounds.days.items():
        x, y = [day + 1 for day in sorted(days)], [days[day][0] for day in sorted(days)]
        if policy in results.run.arms:
            style = {"color": colour_of(results, policy), "marker": marker_of(results, policy), "ms": 3.5, "lw": 1.6}
        else:
            style = {"color": "#111111", "lw": 1.4, "ls": "-" if policy == "oracle" else ":"}
        axes.plot(x, y, label=policy, **style)
    percent_axis(axes)
    axes.set_xlim(*axes.get_xlim())  # of the days that have bounds, not of all
    shade_phases(axes, results)
    axes.set(xlabel="day", ylabel="expected CTR")
    title(figure, "What there was to win: expected CTR with the same requests")
    legend_below(figure, axes.get_legend_handles_labels()[0])
    return figure
