"""The plots of a run: as figures, and as SVG and PNG, the same bytes for the same run."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import matplotlib
from matplotlib.figure import Figure

from simulator.readout.plots.bounds import bounds
from simulator.readout.plots.differences import difference_of_quality
from simulator.readout.plots.monitor import monitor
from simulator.readout.plots.quality import ctr, quality
from simulator.readout.plots.ranking import ranking
from simulator.readout.plots.reliability import bins_of, reliability
from simulator.readout.plots.segments import segments
from simulator.readout.plots.so_far import so_far
from simulator.readout.plots.style import DPI, STYLE
from simulator.readout.plots.uplift import estimators, uplift
from simulator.readout.results import Results

__all__ = ["Plot", "draw", "figure", "plots_of"]


class Plot(NamedTuple):
    """One plot of a run. caption: what there is to see in it."""

    make: Callable[[Results], Figure]
    caption: str


CTR = Plot(ctr, "Click-through rate per simulated day and arm. Warm-up and A/A are shaded.")
DIFFERENCE = Plot(
    difference_of_quality,
    "How much better or worse the treatment predicts than the control: points are days, lines all measured days so far. Each "
    "interval is for its own day; a line that is watched until it leaves 0 leaves it too often.",
)
UPLIFT = Plot(
    uplift, "Uplift per day: raw, and less the A/A period's own difference. The band is the whole A/B period."
)
SO_FAR = Plot(
    so_far,
    "The headline up to each day. The band is for a test that ends on that day and was never looked at before; the dashed lines "
    "are for daily looks. Straight lines are the truth.",
)
SEGMENTS = Plot(
    segments, "The uplift in parts of the users. Full points are more than luck, counted how many parts were looked at."
)
RELIABILITY = Plot(
    reliability, "Clicks over exposures of each bin of pCTR in A/B. On the dotted line a prediction means what it says."
)
BOUNDS = Plot(bounds, "The CTR that an oracle, random slates and each arm are expected to have with the same requests.")
ESTIMATORS = Plot(estimators, "The same uplift by three estimators, beside the truth where the simulator knows it.")
QUALITY = Plot(quality, "AUC, log loss and calibration (sum of predictions over sum of clicks) per day and arm.")
RANKING = Plot(
    ranking,
    "Each arm ranks the candidates of the logged slates by its stamps, ties drawn. MRR and nDCG are means over slates with a click.",
)
MONITOR = Plot(
    monitor,
    "Over the newest examples of each learner, tick by tick. Triangles are alarms, dotted lines sudden drifts.",
)


def plots_of(results: Results) -> dict[str, Plot]:
    """What there is to draw of a run, by name, in the order of the report."""
    plots: dict[str, Plot] = {}
    if results.run.is_replay:
        if results.run.treatments:
            plots["difference"] = DIFFERENCE
    elif results.run.has_days:
        plots["ctr"] = CTR
        if any(day.uplift is not None and day.row["phase"] != "warmup" for day in results.days):
            plots["uplift"] = UPLIFT
        if any(day.so_far is not None and not math.isnan(day.so_far.relative) for day in results.days):
            plots["so_far"] = SO_FAR
    if any(not math.isnan(e.relative) for found in results.uplift.values() for e in found.values()):
        plots["estimators"] = ESTIMATORS
    if any(not math.isnan(one.estimate.relative) for one in results.segments):
        plots["segments"] = SEGMENTS
    if results.run.manifest is not None:  # a table of one's own knows of no predictions
        plots["quality"] = QUALITY
    if bins_of(results):
        plots["reliability"] = RELIABILITY
    if results.bounds is not None:
        plots["bounds"] = BOUNDS
    if results.ranking is not None:
        plots["ranking"] = RANKING
    if results.run.monitor is not None:
        plots["monitor"] = MONITOR
    return plots


def figure(results: Results, name: str) -> Figure:
    """One of the plots. Raises ValueError naming those that there are."""
    plots = plots_of(results)
    if name not in plots:
        raise ValueError(f"plot: got {name!r}, this run has {', '.join(plots)}")
    with matplotlib.rc_context(STYLE):
        return plots[name].make(results)


def draw(results: Results) -> dict[str, Path]:
    """Draw everything into plots/; name → path of the SVG, in the order of the report."""
    folder = results.run.path / "plots"
    folder.mkdir(exist_ok=True)
    found = {}
    for name in plots_of(results):
        made = figure(results, name)
        with matplotlib.rc_context(STYLE):
            if (layout := made.get_layout_engine()) is not None:  # else it is computed anew for each file
                layout.execute(made)
                made.set_layout_engine(None)  # "none" leaves one that has each file drawn twice
            made.savefig(folder / f"{name}.svg", metadata={"Date": None, "Creator": None})
            made.savefig(folder / f"{name}.png", dpi=DPI, metadata={"Software": None})
        found[name] = folder / f"{name}.svg"
    return found
