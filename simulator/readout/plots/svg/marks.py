"""The colour and the mark of an arm: the first seven differ in colour, those beyond them in the mark too."""

from __future__ import annotations

from markupsafe import Markup

__all__ = ["COLOURS", "colour_class", "dot", "swatch"]

COLOURS = 7  # that the style sheet has; simulator.readout.plots.style has as many
SHAPES = (
    "M-3-3H3V3H-3z",
    "M0-4.2 4.2 0 0 4.2-4.2 0z",
    "M0-4 4 3H-4z",
    "M-4-1.3H-1.3V-4H1.3V-1.3H4V1.3H1.3V4H-1.3V1.3H-4z",
)


def colour_class(colour: int | None) -> str:
    """The style sheet's class of the colour, and one of the arm's own. None: the ink. -1: the grey of what is beside the point.

    >>> colour_class(0), colour_class(8), colour_class(None), colour_class(-1)
    ('c0 n0', 'c1 n8', 'ink', 'beside')
    """
    return "ink" if colour is None else "beside" if colour < 0 else f"c{colour % COLOURS} n{colour}"


def dot(colour: int | None, x: str, y: str, r: float = 3) -> Markup:
    """The mark at a place: a length or percentage across, or nothing for 0; and pixels down."""
    if colour is None or colour < COLOURS:
        return Markup('<circle{} cy="{}" r="{:g}"/>').format(Markup(' cx="{}"').format(x) if x else "", y, r)
    shape = SHAPES[(colour // COLOURS - 1) % len(SHAPES)]
    return Markup('<svg x="{}" y="{}"><path d="{}"/></svg>').format(x or 0, y, shape)


def swatch(colour: int | None, stroke: str = "solid", dots: bool = True) -> Markup:
    """What stands before a name in a legend."""
    line = Markup('<path class="line {}" d="M0 7H24"/>').format(stroke) if stroke != "none" else Markup("")
    return Markup('<svg class="swatch {}" width="24" height="14" aria-hidden="true">{}{}</svg>').format(
        colour_class(colour), line, dot(colour, "12", "7") if dots else ""
    )
