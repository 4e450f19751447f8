"""The uplift in parts of the users, a row each."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from simulator.readout.plots.style import colour_of, legend_below, line_of, new_figure, title
from simulator.readout.plots.svg.interval import reach_of
from simulator.readout.results import Results
from simulator.readout.statistics.segments import SegmentUplift

__all__ = ["segments", "that_tell_most"]

MOST_ROWS = 60


def that_tell_most(found: Sequence[SegmentUplift], most: int) -> list[SegmentUplift]:
    """All rows; where there are more than so many those with the smallest p, in their order."""
    p = [math.inf if math.isnan(one.estimate.p) else one.estimate.p for one in found]
    kept = sorted(range(len(found)), key=p.__getitem__)[:most]
    return [found[i] for i in sorted(kept)]


def segments(results: Results) -> Figure:
    """A row a segment, value and treatment, in the treatment's colour; hollow where the corrected p is .05 or more."""
    known = [one for one in results.segments if not math.isnan(one.estimate.relative)]
    rows = that_tell_most(known, MOST_ROWS)
    reach = reach_of((one.estimate.lo, one.estimate.hi) for one in rows)
    figure, (axes,) = new_figure(height=1.4 + 0.26 * len(rows))
    for y, one in enumerate(reversed(rows)):
        estimate, colour = one.estimate, colour_of(results, one.arm)
        axes.plot([estimate.lo, estimate.hi], [y, y], color=colour, lw=1.8, solid_capstyle="butt")
        face = colour if one.adjusted_p < 0.05 else "white"
        axes.plot(estimate.relative, y, "o", color=colour, mfc=face, ms=5)
    axes.axvline(0, color="#999999", lw=0.8)
    for y, (above, one) in enumerate(zip(reversed(rows[:-1]), reversed(rows[1:]), strict=True)):
        if above.segment != one.segment:
            axes.axhline(y + 0.5, color="#dddddd", lw=0.8)
    several = len(results.run.treatments) > 1
    names = [f"{one.segment.replace('_', ' ')}: {one.value}" + (f", {one.arm}" if several else "") for one in rows]
    axes.set_yticks(range(len(rows)), names[::-1], fontsize=8.5)
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.set_xlim(reach.lo, reach.hi)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:+.1%}"))
    axes.grid(axis="x")
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("relative uplift")
    title(figure, f"Uplift in CTR over {results.run.control} by segment (95% intervals across users)")
    legend_below(
        figure,
        [
            line_of("more than luck, corrected (Holm)", color="#555555", marker="o", ms=5, lw=1.8),
            line_of("may be luck", color="#555555", marker="o", mfc="white", ms=5, lw=1.8),
        ],
    )
    return figure
