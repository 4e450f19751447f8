"""How well the arms rank logged slates, by day."""

from __future__ import annotations

import math

from matplotlib.figure import Figure

from simulator.readout.plots.style import (
    MOST_BANDS,
    colour_of,
    head_room,
    legend_below,
    marker_of,
    new_figure,
    say_undefined,
    shade_phases,
    title,
)
from simulator.readout.results import Results

__all__ = ["ranking"]


def ranking(results: Results) -> Figure:
    """A panel a metric, of those at several k the first."""
    assert results.ranking is not None
    metrics: dict[str, tuple[str, str]] = {}
    for name, label in results.ranking.metrics.items():
        metrics.setdefault(name.partition("_at_")[0], (name, label))
    figure, all_axes = new_figure(len(metrics), 2.4 * len(metrics) + 0.6)
    banded = len(results.run.arms) <= MOST_BANDS
    for axes, (name, label) in zip(all_axes, metrics.values(), strict=True):
        for arm in results.run.arms:
            days = [day for day in results.ranking.days if day.arm == arm]
            x, found = [day.day + 1 for day in days], [day.metrics[name] for day in days]
            colour = colour_of(results, arm)
            y = [of.value for of in found]
            axes.plot(x, y, color=colour, marker=marker_of(results, arm), ms=3.5, lw=1.5, label=arm)
            if banded:
                axes.fill_between(x, [of.lo for of in found], [of.hi for of in found], color=colour, alpha=0.15, lw=0)
        if all(math.isnan(day.metrics[name].value) for day in results.ranking.days):
            say_undefined(axes)
        axes.set_ylabel(label)
        head_room(axes, 0.14)
        shade_phases(axes, results, label=axes is all_axes[0])
    title(figure, "Ranking of the logged slates per day" + (", with 95% intervals across users" if banded else ""))
    all_axes[-1].set_xlabel("day")
    legend_below(figure, all_axes[0].get_legend_handles_labels()[0])
    return figure
