"""The plots of a run: as figures, and as SVG and PNG, the same bytes for the same run."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import matplotlib
from matplotlib.figure import Figure

from simulator.readout.plots.monitor import monitor
from simulator.readout.plots.quality import ctr, difference_of_quality, quality
from simulator.readout.plots.style import DPI, STYLE
from simulator.readout.plots.uplift import estimators, uplift
from simulator.readout.results import Results

__all__ = ["draw", "figure", "plots_of"]

Maker: TypeAlias = Callable[[Results], Figure]


def plots_of(results: Results) -> dict[str, Maker]:
    """What there is to draw of a run, by name, in the order of the report."""
    makers: dict[str, Maker] = {}
    if not results.run.is_replay:
        makers["ctr"] = ctr
    elif results.run.treatments:
        makers["difference"] = difference_of_quality
    if any(day.uplift is not None and day.row["phase"] != "warmup" for day in results.days):
        makers["uplift"] = uplift
        if any(not math.isnan(e.relative) for found in results.uplift.values() for e in found.values()):
            makers["estimators"] = estimators
    makers["quality"] = quality
    if results.run.monitor is not None:
        makers["monitor"] = monitor
    return makers


def figure(results: Results, name: str) -> Figure:
    """One of the plots. Raises ValueError naming those that there are."""
    makers = plots_of(results)
    if name not in makers:
        raise ValueError(f"plot: got {name!r}, this run has {', '.join(makers)}")
    with matplotlib.rc_context(STYLE):
        return makers[name](results)


def draw(results: Results) -> dict[str, Path]:
    """Draw everything into plots/; name → path of the SVG, in the order of the report."""
    folder = results.run.path / "plots"
    folder.mkdir(exist_ok=True)
    found = {}
    for name in plots_of(results):
        made = figure(results, name)
        with matplotlib.rc_context(STYLE):
            made.savefig(folder / f"{name}.svg", metadata={"Date": None, "Creator": None})
            made.savefig(folder / f"{name}.png", dpi=DPI, metadata={"Software": None})
        found[name] = folder / f"{name}.svg"
    return found
