"""The plots of a run: SVG and PNG, the same bytes for the same run."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg

from simulator.readout.plots.monitor import monitor
from simulator.readout.plots.quality import ctr, difference_of_quality, quality
from simulator.readout.plots.style import DPI, STYLE
from simulator.readout.plots.uplift import estimators, uplift
from simulator.readout.results import Results

__all__ = ["draw"]


def draw(results: Results) -> dict[str, Path]:
    """Draw everything into plots/; name → path of the SVG, in the order of the report."""
    folder = results.run.path / "plots"
    folder.mkdir(exist_ok=True)
    makers: dict[str, Any] = {"ctr": ctr}
    if results.run.is_replay:
        makers = {"difference": difference_of_quality} if results.run.treatments else {}
    elif any(day.uplift is not None for day in results.days):
        makers["uplift"] = uplift
        if any(not math.isnan(e.relative) for found in results.uplift.values() for e in found.values()):
            makers["estimators"] = estimators
    makers["quality"] = quality
    if results.run.monitor is not None:
        makers["monitor"] = monitor
    found = {}
    for name, make in makers.items():
        with matplotlib.rc_context(STYLE):
            figure = make(results)
            FigureCanvasAgg(figure)
            figure.savefig(folder / f"{name}.svg", metadata={"Date": None, "Creator": None})
            figure.savefig(folder / f"{name}.png", dpi=DPI, metadata={"Software": None})
        found[name] = folder / f"{name}.svg"
    return found
