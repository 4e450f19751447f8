"""An interval as a bar in the cell of a table, so that a forest plot is a table that can be read, sorted and copied."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from markupsafe import Markup

from simulator.readout.plots.svg.marks import colour_class, dot
from simulator.readout.plots.svg.numbers import as_percents
from simulator.readout.plots.svg.scale import Scale, known, nice_ticks, scale_of

__all__ = ["axis_of_intervals", "interval_bar", "reach_of"]

HEIGHT = 20
MIDDLE = HEIGHT / 2
ROOM = 0.05  # of the span, beyond either end
LETTER, NARROWEST = 6.0, 180  # pixels: of a letter of a label, and of the column
# An interval that reaches beyond so many of the usual ones is cut off, with an arrow: it would leave the others no room.
MOST = 3.0


def reach_of(intervals: Iterable[tuple[float, float]], also: Iterable[float | None] = ()) -> Scale:
    """A scale for a column of effects: it holds 0, and what `also` says, and of intervals as much as leaves room for the others.

    >>> reach = reach_of([(-1, 1), (0, 9)])
    >>> reach.lo, reach.hi
    (-1.5, 9.5)
    """
    ends = np.array([pair for pair in intervals if all(map(math.isfinite, pair))], dtype=float).reshape(-1, 2)
    must = [0.0, *known(also)]
    if len(ends):
        middle, room = float(np.median(ends)), MOST * float(np.median(ends[:, 1] - ends[:, 0]))
        must += [max(float(ends.min()), middle - room), min(float(ends.max()), middle + room)]
    return scale_of(must, ROOM)


def interval_bar(
    value: float,
    lo: float,
    hi: float,
    reach: Scale,
    colour: int | None = 0,
    truth: float | None = None,
    rules: Sequence[float] = (0.0,),
) -> Markup:
    """The bar of one row; nothing but the rules where it is not defined. truth: a tick across it."""
    drawn = [
        Markup('<line class="rule zero" x1="{x}" x2="{x}" y2="{}"/>').format(HEIGHT, x=_at(reach, rule))
        for rule in rules
    ]
    if truth is not None and math.isfinite(truth):
        drawn.append(
            Markup('<line class="truth" x1="{x}" x2="{x}" y1="1" y2="{}"/>').format(HEIGHT - 1, x=_at(reach, truth))
        )
    if all(map(math.isfinite, (value, lo, hi))):
        drawn.append(
            Markup('<g class="{}"><line class="reach" x1="{}" x2="{}" y1="{m}" y2="{m}"/>{}{}</g>').format(
                colour_class(colour), _at(reach, lo), _at(reach, hi), _arrows(reach, lo, hi),
                dot(colour, _at(reach, value), f"{MIDDLE:g}", 4), m=MIDDLE,
            )
        )  # fmt: skip
    return Markup('<svg class="bar" height="{}" aria-hidden="true">{}</svg>').format(HEIGHT, Markup("").join(drawn))


def axis_of_intervals(reach: Scale, labels: Callable[[Sequence[float]], list[str]] | None = None) -> Markup:
    """What stands over such a column."""
    for most in (4, 3, 2, 1):
        ticks = nice_ticks(reach, most)
        words = labels(ticks) if labels else as_percents(ticks, sign=True)
        if sum(LETTER * (len(word) + 2) for word in words) < NARROWEST:
            break
    return Markup('<svg class="bar" height="14" aria-hidden="true">{}</svg>').format(
        Markup("").join(
            Markup('<text x="{}" y="11" text-anchor="middle">{}</text>').format(_at(reach, tick), word)
            for tick, word in zip(ticks, words, strict=True)
        )
    )


def _at(reach: Scale, value: float) -> str:
    return f"{100 * min(max(reach(value), 0.0), 1.0):.2f}%"


def _arrows(reach: Scale, lo: float, hi: float) -> Markup:
    """At the ends that lie beyond the scale."""
    ends = [("0%", "M6-4 0 0 6 4")] if lo < reach.lo else []
    ends += [("100%", "M-6-4 0 0-6 4")] if hi > reach.hi else []
    return Markup("").join(
        Markup('<svg x="{}" y="{}"><path class="arrow" d="{}"/></svg>').format(x, MIDDLE, d) for x, d in ends
    )
