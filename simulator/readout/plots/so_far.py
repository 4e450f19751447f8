"""The uplift up to each day, with its fixed interval, the bounds for daily looks, and the truth."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from simulator.readout.plots.style import (
    HEIGHT,
    colour_of,
    days_of,
    legend_below,
    line_of,
    new_figure,
    percent_axis,
    shade_phases,
    title,
)
from simulator.readout.plots.svg.interval import reach_of
from simulator.readout.plots.uplift import TRUTH_LINES
from simulator.readout.results import ESTIMATOR_LABELS, Results
from simulator.readout.statistics.estimate import Estimate

__all__ = ["so_far"]


def so_far(results: Results) -> Figure:
    """A panel a treatment, all with one scale."""
    treatments = results.run.treatments
    figure, all_axes = new_figure(len(treatments), HEIGHT * max(1.0, 0.7 * len(treatments)))
    estimates: list[Estimate] = []
    for axes, arm in zip(all_axes, treatments, strict=True):
        colour = colour_of(results, arm)
        days = [(day.row["day"] + 1, day.so_far) for day in days_of(results, arm)]
        known = [(x, e) for x, e in days if e is not None and not math.isnan(e.relative)]
        x = [x for x, _ in known]
        axes.plot(x, [e.relative for _, e in known], color=colour, marker="o", ms=4, lw=1.8)
        axes.fill_between(x, [e.lo for _, e in known], [e.hi for _, e in known], color=colour, alpha=0.16, lw=0)
        looks = results.sequential.get(arm, [])
        for edge in ([look.lo for look in looks], [look.hi for look in looks]):
            axes.plot([look.day + 1 for look in looks], edge, color=colour, lw=1.1, ls="--")
        for kind, value in results.truth.get(arm, {}).items():
            if value is not None:
                axes.axhline(value, color="#111111", lw=1.4, ls=TRUTH_LINES[kind])
        axes.axhline(0, color="#333333", lw=0.8)
        percent_axis(axes, sign=True)
        shade_phases(axes, results, label=False)
        axes.set(title=arm, ylabel="relative uplift")
        if x:
            axes.set_xlim(min(x) - 0.5, max(x) + 0.5)
        estimates += [e for _, e in known]
    _scale(all_axes, results, estimates)
    all_axes[-1].set_xlabel("day")
    name = ESTIMATOR_LABELS[results.headline]
    title(figure, f"Uplift in CTR over {results.run.control}, up to each day")
    handles = [line_of(f"{name}, with its fixed 95% interval", color="#555555", marker="o", ms=4, lw=1.8)]
    if any(results.sequential.values()):
        handles.append(line_of("interval for daily looks", color="#555555", lw=1.1, ls="--"))
    kinds = [kind for kind in TRUTH_LINES if any(found.get(kind) is not None for found in results.truth.values())]
    handles += [line_of(f"truth ({kind})", color="#111111", lw=1.4, ls=TRUTH_LINES[kind]) for kind in kinds]
    legend_below(figure, handles)
    return figure


def _scale(all_axes: Iterable[Axes], results: Results, estimates: Sequence[Estimate]) -> None:
    """By the fixed intervals: the first looks' bounds are many times wider than what is decided by them."""
    truths = [value for found in results.truth.values() for value in found.values()]
    reach = reach_of(((e.lo, e.hi) for e in estimates), [*truths, *(e.relative for e in estimates)])
    for axes in all_axes:
        axes.set_ylim(reach.lo, reach.hi)
