"""Uplift by day, and by estimator."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from simulator.readout.plots.style import (
    HEIGHT,
    colour_of,
    days_of,
    head_room,
    legend_below,
    line_of,
    new_figure,
    percent_axis,
    say_undefined,
    shade_phases,
    title,
)
from simulator.readout.plots.svg.interval import reach_of
from simulator.readout.results import ESTIMATOR_LABELS, Day, Results
from simulator.readout.statistics.estimate import Estimate

__all__ = ["estimators", "uplift"]

TRUTH_LINES = {"experiment": "-", "launch": ":"}


def uplift(results: Results) -> Figure:
    treatments = results.run.treatments
    figure, all_axes = new_figure(len(treatments), HEIGHT * max(1.0, 0.75 * len(treatments)))
    for axes, arm in zip(all_axes, treatments, strict=True):
        colour = colour_of(results, arm)
        days = [day for day in days_of(results, arm) if day.row["phase"] != "warmup" and day.uplift is not None]
        _bars(axes, days, [d.uplift for d in days], -0.12, "#888888", ESTIMATOR_LABELS["raw"])
        _bars(axes, days, [d.corrected for d in days], 0.12, colour, ESTIMATOR_LABELS["ab_minus_aa"])
        axes.axhline(0, color="#333333", lw=0.8)
        ab = [day.row["day"] + 1 for day in days if day.row["phase"] == "ab"]
        headline = results.uplift[arm][results.headline]
        if ab and not math.isnan(headline.relative):
            name = ESTIMATOR_LABELS[results.headline]
            span = [min(ab) - 0.5, max(ab) + 0.5]
            axes.fill_between(span, headline.lo, headline.hi, color=colour, alpha=0.13, lw=0)
            label = f"{name} over A/B: {headline.relative:+.2%}"
            axes.plot(span, [headline.relative] * 2, color=colour, lw=1.2, ls="--", label=label)
        for kind, value in results.truth[arm].items():
            if value is not None and ab:
                span, label = [min(ab) - 0.5, max(ab) + 0.5], f"truth ({kind}): {value:+.2%}"
                axes.plot(span, [value] * 2, color="#111111", lw=1.4, ls=TRUTH_LINES[kind], label=label)
        percent_axis(axes, sign=True)
        if axes.get_legend_handles_labels()[0]:
            drawn = [e for day in days for e in (day.uplift, day.corrected) if e is not None]
            reach = reach_of(
                ((e.lo, e.hi) for e in drawn), [*(e.relative for e in drawn), *results.truth[arm].values()]
            )
            axes.set_ylim(reach.lo, reach.hi)
        head_room(axes, 0.16)
        shade_phases(axes, results)
        first = min((day.row["day"] + 1 for day in days), default=1)
        axes.set_xlim(first - 0.6, max((day.row["day"] + 1 for day in days), default=1) + 0.6)
        axes.set(title=f"Uplift in CTR of {arm} over {results.run.control}, per day", ylabel="relative uplift")
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="lower left", ncols=2, fontsize=8.5)
            low, high = axes.get_ylim()
            axes.set_ylim(low - 0.2 * (high - low), high)  # the legend's room
        else:
            say_undefined(axes)
    all_axes[-1].set_xlabel("day")
    return figure


def _bars(axes: Axes, days: list[Day], estimates: list[Estimate | None], shift: float, colour: str, label: str) -> None:
    points = [(day.row["day"] + 1 + shift, e) for day, e in zip(days, estimates, strict=True) if e is not None]
    points = [(x, e) for x, e in points if not math.isnan(e.relative)]
    if points:
        y = [e.relative for _, e in points]
        spread = [[e.relative - e.lo for _, e in points], [e.hi - e.relative for _, e in points]]
        axes.errorbar([x for x, _ in points], y, spread, fmt="o", ms=4, lw=1.2, capsize=2, color=colour, label=label)


def estimators(results: Results) -> Figure:
    """A row an estimator, an arm's rows together; the truth of an arm is drawn across its own rows alone."""
    treatments = results.run.treatments
    several = len(treatments) > 1
    rows = [(arm, name) for arm in treatments for name in ESTIMATOR_LABELS]
    figure, (axes,) = new_figure(height=1.5 + 0.4 * len(rows))
    height_of = {row: y for y, row in enumerate(reversed(rows))}
    for (arm, name), y in height_of.items():
        estimate = results.uplift[arm][name]
        if math.isnan(estimate.relative):
            continue
        colour = colour_of(results, arm)
        axes.plot([estimate.lo, estimate.hi], [y, y], color=colour, lw=2.2, solid_capstyle="round")
        axes.plot(estimate.relative, y, "o", color=colour, ms=6)
        axes.annotate(
            f"{estimate.relative:+.2%}",
            (estimate.relative, y),
            (0, 7),
            textcoords="offset points",
            ha="center",
            fontsize=8.5,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},  # the truth's line may lie behind it
        )
    truths = []
    for arm in treatments:
        own = [height_of[arm, name] for name in ESTIMATOR_LABELS]
        for kind, value in results.truth[arm].items():
            if value is not None:
                style = {"color": "#111111", "lw": 1.3, "ls": TRUTH_LINES[kind]}
                axes.plot([value] * 2, [min(own) - 0.45, max(own) + 0.7], **style)
                whose = f"truth of {arm} ({kind})" if several else f"truth ({kind})"
                truths.append(line_of(f"{whose}: {value:+.2%}", **style))
    axes.axvline(0, color="#999999", lw=0.8)
    named = [f"{arm}: {ESTIMATOR_LABELS[name]}" if several else ESTIMATOR_LABELS[name] for arm, name in reversed(rows)]
    axes.set_yticks(range(len(rows)), named)
    axes.set_ylim(-0.6, len(rows) - 0.2)
    for between in range(len(ESTIMATOR_LABELS), len(rows), len(ESTIMATOR_LABELS)):
        axes.axhline(between - 0.4, color="#dddddd", lw=0.8)
    estimates = [e for found in results.uplift.values() for e in found.values()]
    reach = reach_of(
        ((e.lo, e.hi) for e in estimates), (value for of in results.truth.values() for value in of.values())
    )
    axes.set_xlim(reach.lo, reach.hi)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:+.1%}"))
    axes.grid(axis="x")
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("relative uplift")
    title(figure, "Uplift in CTR over the A/B period, by estimator (95% intervals across users)")
    if truths:
        legend_below(figure, truths)
    return figure
