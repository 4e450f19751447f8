"""A figure of the page: panels one after the other, one legend, one caption; and the pieces that figures share."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from markupsafe import Markup

from simulator.readout.plots.style import MOST_BANDS
from simulator.readout.plots.svg.marks import swatch
from simulator.readout.plots.svg.parts import Rule, Series, Shade
from simulator.readout.plots.svg.scale import Scale
from simulator.readout.results import Day, Results
from simulator.run_folder.columns import PHASE_LABELS

__all__ = [
    "ZERO",
    "Entry",
    "Figure",
    "Panel",
    "across_days",
    "arms_of_legend",
    "colour_of",
    "has_days",
    "is_crowded",
    "of_days",
    "shades_of",
]

ZERO = Rule(0.0, "no difference")


class Entry(NamedTuple):
    """A line of a legend."""

    name: str
    colour: int | None
    stroke: str = "solid"
    dots: bool = True

    @property
    def swatch(self) -> Markup:
        return swatch(self.colour, self.stroke, self.dots)

    @property
    def own(self) -> str | None:
        """The class that only this arm's marks have."""
        return None if self.colour is None or self.colour < 0 or self.stroke != "solid" else f"n{self.colour}"


class Panel(NamedTuple):
    """One chart. heading: empty where the figure's title says it all."""

    heading: str
    svg: Markup


class Figure(NamedTuple):
    """title: what is shown. caption: how to read it. small: whether its panels may stand side by side."""

    name: str
    title: str
    caption: str
    legend: list[Entry]
    panels: list[Panel]
    small: bool = False


def colour_of(results: Results, arm: str) -> int:
    """An arm keeps its colour in every figure."""
    return results.run.arms.index(arm)


def is_crowded(results: Results) -> bool:
    """Whether bands of all arms would hide the curves."""
    return len(results.run.arms) > MOST_BANDS


def has_days(results: Results) -> bool:
    """Whether there is a course to draw: more than one day, and days that are days."""
    return results.run.has_days and len({day.row["day"] for day in results.days}) > 1


def of_days(
    name: str,
    days: Sequence[Day],
    value: Callable[[Day], float | None],
    ends: Callable[[Day], tuple[float, float]] | None = None,
    **look: Any,
) -> Series:
    """A series over days, which are counted from 1. value: None or NaN where not defined. ends: of its interval."""
    y = [math.nan if (found := value(day)) is None else float(found) for day in days]
    lo, hi = ([ends(day)[i] for day in days] if ends else None for i in (0, 1))
    return Series(name, [day.row["day"] + 1 for day in days], y, lo, hi, **look)


def arms_of_legend(results: Results, arms: Sequence[str] | None = None, stroke: str = "solid") -> list[Entry]:
    return [Entry(arm, colour_of(results, arm), stroke) for arm in arms or results.run.arms]


def shades_of(results: Results) -> list[Shade]:
    """The phases, each from its first day to its last."""
    found = []
    for phase, label in PHASE_LABELS.items():
        days = [day.row["day"] + 1 for day in results.days if day.row["phase"] == phase]
        if days:
            found.append(Shade(min(days) - 0.5, max(days) + 0.5, label, phase))
    return found


def across_days(results: Results, phases: Iterable[str] = tuple(PHASE_LABELS)) -> Scale:
    """The axis of these phases' days, half a day more at either end."""
    days = [day.row["day"] + 1 for day in results.days if day.row["phase"] in phases]
    return Scale(min(days) - 0.5, max(days) + 0.5)
