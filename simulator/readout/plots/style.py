"""How every plot looks, and the pieces that they share."""

from __future__ import annotations

import io
import math
from collections.abc import Collection
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from simulator.readout.results import Day, Results
from simulator.run_folder.columns import PHASE_LABELS

__all__ = [
    "COLOURS",
    "DPI",
    "HEIGHT",
    "MARKERS",
    "MOST_BANDS",
    "SHADES",
    "STYLE",
    "WIDTH",
    "colour_of",
    "days_of",
    "head_room",
    "legend_below",
    "line_of",
    "marker_of",
    "new_figure",
    "numbers",
    "percent_axis",
    "say_undefined",
    "shade_phases",
    "title",
]

# Okabe and Ito (2008): told apart by colour-blind readers.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
# Where there are more arms than colours, the marker tells the rounds apart.
MARKERS = ("o", "s", "D", "v", "P")
SHADES = {"warmup": "#e9e9e9", "aa": "#f5f5f5", "ab": "#ffffff"}
STYLE = {
    "svg.hashsalt": "reloop-stream",
    "svg.fonttype": "path",
    "text.parse_math": False,  # an arm may be called $a$
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.titlesize": 11,
    "legend.frameon": False,
}
WIDTH, HEIGHT, DPI = 8.5, 4.2, 150
# More bands than these lie over each other and hide the curves; the tables have every interval.
MOST_BANDS = 4


class ShownFigure(Figure):
    """A figure that a notebook shows, with or without pyplot."""

    def _repr_png_(self) -> bytes:
        sink = io.BytesIO()
        with matplotlib.rc_context(STYLE):
            self.savefig(sink, format="png", dpi=DPI / 2)
        return sink.getvalue()


def new_figure(rows: int = 1, height: float = HEIGHT) -> tuple[Figure, Any]:
    """A figure of the usual width, and its axes one below the other, [rows]."""
    figure = ShownFigure(figsize=(WIDTH, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, 1, sharex=rows > 1, squeeze=False)[:, 0]


def title(figure: Figure, text: str) -> None:
    """Over the whole width: an axes' own title is cut where its labels are long."""
    figure.suptitle(text, x=0.01, ha="left", fontsize=11, fontweight="bold")


def legend_below(figure: Figure, handles: list[Any]) -> None:
    """A legend under the axes, which no curve can run through, of as many columns as its texts allow."""
    longest = max(len(str(handle.get_label())) for handle in handles)
    columns = max(1, min(len(handles), int(WIDTH * 14 / (longest + 6))))  # about 14 letters of 8.5 points an inch
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, fontsize=8.5)


def colour_of(results: Results, arm: str) -> str:
    return COLOURS[results.run.arms.index(arm) % len(COLOURS)]


def marker_of(results: Results, arm: str) -> str:
    return MARKERS[results.run.arms.index(arm) // len(COLOURS) % len(MARKERS)]


def line_of(label: str, **style: Any) -> Line2D:
    """A line for a legend alone."""
    return Line2D([], [], label=label, **style)


def days_of(results: Results, arm: str, phases: Collection[str] = tuple(PHASE_LABELS)) -> list[Day]:
    return [day for day in results.days if day.row["arm"] == arm and day.row["phase"] in phases]


def shade_phases(axes: Axes, results: Results, label: bool = True) -> None:
    """Shade warm-up and A/A, and name the phases along the top."""
    for phase, shade in SHADES.items():
        days = [day.row["day"] + 1 for day in results.days if day.row["phase"] == phase]
        if not days:
            continue
        axes.axvspan(min(days) - 0.5, max(days) + 0.5, color=shade, zorder=0, lw=0)
        if label:
            axes.text(
                (min(days) + max(days)) / 2, 0.985, PHASE_LABELS[phase], transform=axes.get_xaxis_transform(),
                ha="center", va="top", fontsize=9, color="#666666", clip_on=True,
            )  # fmt: skip
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=18))
    axes.margins(x=0.01)


def numbers(days: list[Day], name: str) -> list[float]:
    return [math.nan if day.row.get(name) is None else day.row[name] for day in days]


def say_undefined(axes: Axes) -> None:
    """Instead of a scale that nothing stands on."""
    axes.set_yticks([])
    axes.text(0.5, 0.5, "not defined on any day", transform=axes.transAxes, ha="center", va="center", color="#666666")


def percent_axis(axes: Axes, digits: int = 1, sign: bool = False) -> None:
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:{'+' if sign else ''}.{digits}%}"))


def head_room(axes: Axes, share: float = 0.12) -> None:
    """Room above the curves for the names of the phases."""
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + share * (high - low))
