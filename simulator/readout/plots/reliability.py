"""Observed against predicted CTR, bin by bin."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter

from simulator.readout.plots.style import MOST_BANDS, colour_of, legend_below, line_of, marker_of, new_figure, title
from simulator.readout.plots.svg.scale import Scale, root_ticks
from simulator.readout.reliability import ReliabilityBin
from simulator.readout.results import Results

__all__ = ["LEAST", "bins_of", "reliability"]

LEAST = 100  # exposures of a bin: of fewer an interval is as wide as the picture


def bins_of(results: Results) -> dict[str, list[ReliabilityBin]]:
    """Arm → the bins that hold enough to be drawn; no arm without any."""
    found = {arm: [one for one in bins if one.exposures >= LEAST] for arm, bins in results.reliability.items()}
    return {arm: bins for arm, bins in found.items() if bins}


def reliability(results: Results) -> Figure:
    """A line an arm; both axes by square roots, which gives small shares room."""
    figure, (axes,) = new_figure(height=6.5)
    found = bins_of(results)
    for arm, bins in found.items():
        x, y = [one.predicted for one in bins], [one.observed for one in bins]
        colour = colour_of(results, arm)
        if len(found) <= MOST_BANDS:
            axes.vlines(x, [one.lo for one in bins], [one.hi for one in bins], color=colour, lw=1.2)
        axes.plot(x, y, color=colour, marker=marker_of(results, arm), ms=4, lw=1.4, label=arm)
    most = 1.08 * max((max(one.predicted, one.observed) for bins in found.values() for one in bins), default=1.0)
    axes.plot([0, most], [0, most], color="#333333", lw=1.0, ls=":")
    for set_scale, axis, set_limits in (
        (axes.set_xscale, axes.xaxis, axes.set_xlim),
        (axes.set_yscale, axes.yaxis, axes.set_ylim),
    ):
        set_scale("function", functions=(lambda v: abs(v) ** 0.5, lambda v: v**2))
        set_limits(0, most)
        axis.set_major_locator(FixedLocator(list(root_ticks(Scale(0, most, root=True)))))
        axis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:.0%}"))
    axes.set(xlabel="predicted CTR", ylabel="observed CTR")
    axes.set_aspect("equal", adjustable="box")
    axes.grid(axis="x")
    title(figure, "Does a prediction mean what it says?")
    as_predicted = line_of("as predicted", color="#333333", lw=1.0, ls=":")
    legend_below(figure, [*axes.get_legend_handles_labels()[0], as_predicted])
    return figure
