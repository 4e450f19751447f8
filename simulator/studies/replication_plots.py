"""The plots of a replication: every world's estimate beside its truth, and what more users would find."""

from __future__ import annotations

import math

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from simulator.readout.plots.style import COLOURS, HEIGHT, STYLE, WIDTH
from simulator.readout.results import ESTIMATOR_LABELS
from simulator.studies.replicate import Replication
from simulator.studies.replication_report import Findings

__all__ = ["draw_power", "draw_worlds"]

HEADLINES = ("cuped", "raw")  # the first that is defined anywhere is drawn
ESTIMATE, TRUTH = COLOURS[:2]
BESIDE = 1.06  # what a point is moved by, so that its bar does not lie on another


def draw_worlds(found: Replication, all_findings: list[Findings]) -> Figure:
    """A panel a treatment: by seed the estimate with its interval across users, and the truth; the mean truth across seeds."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 1 + (HEIGHT - 1) * len(all_findings)), layout="constrained")
        FigureCanvasAgg(figure)
        grid = figure.subplots(len(all_findings), 1, squeeze=False)[:, 0]
        for axes, one in zip(grid, all_findings, strict=True):
            name = next(
                (name for name in HEADLINES if one.scores[name].estimate.mean == one.scores[name].estimate.mean), "raw"
            )
            rows = found.rows
            mine = rows[(rows["data"] == one.data) & (rows["arm"] == one.arm) & (rows["estimator"] == name)]
            at, estimate = mine["seed"].to_numpy(), mine["estimate"].to_numpy()
            ends = np.stack((estimate - mine["lo"].to_numpy(), mine["hi"].to_numpy() - estimate))
            axes.axhline(0, color="#444444", linewidth=0.8)
            if not math.isnan(one.truth.lo):
                axes.axhspan(
                    one.truth.lo, one.truth.hi, color=TRUTH, alpha=0.15, lw=0, label="mean truth, across seeds"
                )
            axes.axhline(one.truth.mean, color=TRUTH, linewidth=1)
            label = f"{ESTIMATOR_LABELS[name]}, across users"
            axes.errorbar(at, estimate, yerr=ends, fmt="o", markersize=4, color=ESTIMATE, elinewidth=1.2, label=label)
            axes.plot(
                at, mine["truth"], linestyle="", marker="D", markersize=4, color=TRUTH, label="truth of the world"
            )
            axes.set_ylabel("uplift")
            axes.set_title(f"{one.arm} over {found.scenario.control.name}, trained on {one.data} data")
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:+.1%}".replace("-", "−")))
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=18))
        grid[-1].set_xlabel("seed")
        handles, labels = grid[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=8.5)
    return figure


def draw_power(found: Replication, all_findings: list[Findings]) -> Figure | None:
    """By users the chance to find the mean truth, a line an estimator; None where no error is known."""
    shown = [one for one in all_findings if any(one.power.values())]
    if not shown:
        return None
    assert found.scenario.world is not None
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 1 + (HEIGHT - 1) * len(shown)), layout="constrained")
        FigureCanvasAgg(figure)
        grid = figure.subplots(len(shown), 1, squeeze=False, sharex=True)[:, 0]
        for axes, one in zip(grid, shown, strict=True):
            for place, (name, curve) in enumerate(one.power.items()):
                colour = COLOURS[place]
                if curve:
                    users, power = zip(*curve, strict=True)
                    axes.plot(users, power, color=colour, label=ESTIMATOR_LABELS[name])
                    rejected = one.scores[name].rejected
                    if rejected.n:
                        bar = [[rejected.share - rejected.lo], [rejected.hi - rejected.share]]
                        axes.errorbar(
                            [found.scenario.world.users.n * BESIDE**place],
                            [rejected.share],
                            yerr=bar,
                            fmt="o",
                            markersize=4,
                            color=colour,
                        )
            axes.axhline(0.8, color="#444444", linewidth=0.8, linestyle=":")
            axes.set_xscale("log")
            axes.xaxis.set_minor_locator(NullLocator())
            axes.set_ylim(0, 1.03)
            axes.set_ylabel("found at 5%")
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0%}"))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
            axes.set_title(f"{one.arm}, {one.data} data: a true uplift of {one.truth.mean:+.2%}".replace("-", "−"))
        grid[-1].set_xlabel("users (curve: of users' luck alone; point: what the worlds had)")
        handles, labels = grid[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=8.5)
    return figure
