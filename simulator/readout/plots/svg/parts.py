"""What a chart is made of: series of values, shaded stretches, rules to hold them against, and its words."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from simulator.readout.plots.svg.numbers import Words, as_plain

__all__ = ["Chart", "Rule", "Series", "Shade", "Stroke"]

Stroke = Literal["solid", "dashed", "dotted", "none"]


class Series(NamedTuple):
    """Values that belong together. y, lo, hi: NaN where not defined, which leaves a gap.

    colour: the number of an arm; None is the ink of truths and ceilings, -1 the grey of what is beside the point.
    stroke: of the line through the points; "none" draws no line. spread: how lo and hi are drawn. dots: whether each point
    has a mark. at: the places under which values are read together; those of x when left out. quiet: a line whose values are not
    read.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    lo: Sequence[float] | None = None
    hi: Sequence[float] | None = None
    colour: int | None = 0
    stroke: Stroke = "solid"
    spread: Literal["band", "whiskers", "edges", "none"] = "band"
    dots: bool = True
    at: Sequence[float] | None = None
    quiet: bool = False


class Shade(NamedTuple):
    """A stretch of the axis across, with a name; a moment where it ends where it begins. kind: a class of the style sheet."""

    lo: float
    hi: float
    name: str
    kind: str


class Rule(NamedTuple):
    """A value to hold the others against: a line over the whole width, or from lo to hi."""

    y: float
    name: str
    stroke: Stroke | Literal["zero"] = "zero"
    lo: float = -math.inf
    hi: float = math.inf
    colour: int | None = None


class Chart(NamedTuple):
    """How a chart is labelled. title: what a screen reader says; description: what can be seen in it, in a sentence.

    y_axis: the labels of ticks. words: a value in full. name_of: what a place across is called. root: both axes
    by square roots. whole: whether values are counts.
    """

    title: str
    description: str
    y_label: str
    x_label: str
    words: Words
    y_axis: Callable[[Sequence[float]], list[str]] = as_plain
    name_of: Words = lambda x: f"day {x:g}"
    x_axis: Callable[[Sequence[float]], list[str]] = as_plain
    height: int = 220
    root: bool = False
    whole: bool = False
