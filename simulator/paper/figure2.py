"""Figure 2: cross-entropy, distillation and ReLoop as functions of the prediction, drawn by the code that trains.

Below each loss stands its derivative with respect to the logit, which is what a learner follows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from reloop_stream import losses
from simulator.readout.plots.style import COLOURS, STYLE

__all__ = ["Curves", "curves", "draw"]

POINTS = 2001  # an odd number: the middle, and with it a kink at p_last = 0.5, lies on a point
EDGE = 0.005  # cross-entropy has no end at 0 and 1
NAMES = {"bce": "cross-entropy", "distillation": "distillation", "reloop": "ReLoop"}


class Curves(NamedTuple):
    """p: float64 [n]. value, gradient: name of the loss → float64 [n]; the gradient is with respect to the logit."""

    p: np.ndarray
    value: Mapping[str, np.ndarray]
    gradient: Mapping[str, np.ndarray]


def curves(y: int, p_last: float, alpha: float) -> Curves:
    """The three losses of a row with label `y` that the last version gave `p_last`, over predictions p in (0, 1).

    >>> found = curves(y=1, p_last=0.5, alpha=0.5)
    >>> [round(float(found.value[name][1000]), 4) for name in found.value]  # at p = 0.5 = p_last
    [0.6931, 0.6931, 0.3466]
    """
    p = np.linspace(EDGE, 1 - EDGE, POINTS)
    value = {
        "bce": losses.bce(p, y),
        "distillation": losses.distillation(p, p_last, y, alpha),
        "reloop": losses.reloop(p, p_last, y, alpha),
    }
    gradient = {
        "bce": losses.d_bce(p, y),
        "distillation": losses.d_distillation(p, p_last, y, alpha),
        "reloop": losses.d_reloop(p, p_last, y, alpha),
    }
    return Curves(p, value, gradient)


def draw(p_last: float, alpha: float) -> Figure:
    """Two columns (clicked, not clicked), two rows (loss, gradient)."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(8.5, 5.6), layout="constrained")
        grid = figure.subplots(2, 2, sharex=True, sharey="row")
        for column, (y, title) in enumerate(((1, "clicked (y = 1)"), (0, "not clicked (y = 0)"))):
            found = curves(y, p_last, alpha)
            above, below = grid[:, column]
            above.set_title(title)
            _lines(above, found.p, found.value, p_last, breaks=False)
            _lines(below, found.p, found.gradient, p_last, breaks=True)
            below.axhline(0, color="#444444", linewidth=0.8)
            below.set_xlabel("prediction p")
            above.set_ylim(0, 3)
        grid[0, 0].set_ylabel("loss")
        grid[1, 0].set_ylabel("derivative by the logit")
        for axes, side in zip(grid[0], (-1, 1), strict=True):
            place = {"ha": "right" if side < 0 else "left", "va": "center", "color": "#444444"}
            axes.text(p_last + 0.03 * side, 2.55, "errs more than\nthe last version", **place)
        handles, labels = grid[0, 0].get_legend_handles_labels()
        title = f"last prediction {p_last:g}, α = {alpha:g}"
        figure.legend(handles, labels, loc="outside upper center", ncols=4, title=title)
        FigureCanvasAgg(figure)
    return figure


def _lines(axes: Axes, p: np.ndarray, lines: Mapping[str, np.ndarray], p_last: float, breaks: bool) -> None:
    """breaks: whether lines jump at the last prediction, where no slope shall be drawn."""
    axes.axvline(p_last, color="#999999", linewidth=1, linestyle=":", label="last prediction")
    at = np.where(np.abs(p - p_last) < 1 / POINTS, np.nan, p) if breaks else p
    for (name, values), colour in zip(lines.items(), COLOURS, strict=False):
        axes.plot(at, values, color=colour, label=NAMES[name], linewidth=1.8)
