"""Figure 2 of the paper, drawn by the code: cross-entropy, distillation and ReLoop as functions of the prediction.

    python -m simulator.paper.figure2 --out docs/figure2.svg

Below each loss stands its derivative with respect to the logit, which is what a learner follows.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from reloop_stream import losses
from simulator.readout.plots.style import COLOURS, DPI, STYLE

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


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m simulator.paper.figure2",
        description="Draw the three losses and their gradients as functions of the prediction (Figure 2 of the paper).",
    )
    parser.add_argument("--out", type=Path, default=Path("figure2.svg"), help="SVG or PNG (default: figure2.svg)")
    parser.add_argument("--p-last", type=_open_unit, default=0.5, help="what the last version predicted (default: 0.5)")
    parser.add_argument("--alpha", type=_unit, default=0.5, help="weight of the second part of the loss (default: 0.5)")
    chosen = parser.parse_args(arguments)
    if chosen.out.suffix not in (".svg", ".png"):
        parser.error(f"--out: got {chosen.out}, must end in .svg or .png")
    figure = draw(chosen.p_last, chosen.alpha)
    nameless = {"Date": None, "Creator": None} if chosen.out.suffix == ".svg" else {"Software": None}
    try:
        with matplotlib.rc_context(STYLE):
            figure.savefig(chosen.out, metadata=nameless, dpi=DPI)
    except OSError as error:
        print(f"error: {chosen.out}: cannot be written: {error.strerror}", file=sys.stderr)
        return 1
    print(chosen.out)
    return 0


def _unit(text: str) -> float:
    return _number_in(text, lambda value: 0 <= value <= 1, "in [0, 1]")


def _open_unit(text: str) -> float:
    return _number_in(text, lambda value: 0 < value < 1, "in (0, 1)")


def _number_in(text: str, holds: Callable[[float], bool], rule: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"got {text!r}, must be a number {rule}") from None
    if not holds(value):
        raise argparse.ArgumentTypeError(f"got {text}, must be {rule}")
    return value


if __name__ == "__main__":
    sys.exit(main())
