"""Where a value stands on an axis, and which values are written there."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from matplotlib.ticker import MaxNLocator

__all__ = ["Scale", "known", "nice_ticks", "root_ticks", "scale_of"]

ROOT_TICKS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0)


class Scale(NamedTuple):
    """From a value to a share of an axis, 0 at lo and 1 at hi. root: by square roots, which gives small shares room.

    >>> Scale(0, 4)(1), Scale(0, 4, root=True)(1)
    (0.25, 0.5)
    """

    lo: float
    hi: float
    root: bool = False

    def __call__(self, value: float) -> float:
        if self.root:
            low, high, value = math.sqrt(self.lo), math.sqrt(self.hi), math.sqrt(max(value, 0.0))
            return (value - low) / (high - low)
        return (value - self.lo) / (self.hi - self.lo)


def known(values: Iterable[float | None]) -> list[float]:
    """Those that are defined."""
    return [value for value in values if value is not None and math.isfinite(value)]


def scale_of(values: Iterable[float | None], room: float = 0.06, root: bool = False) -> Scale:
    """A scale that holds all values that are defined, with this share of their span free above and below.

    Values that are all the same stand in its middle; no value at all gives 0 to 1. By roots it begins at 0.
    """
    found = known(values)
    if not found:
        return Scale(0.0, 1.0, root)
    lo, hi = min(found), max(found)
    if root:
        return Scale(0.0, hi * (1 + room) or 1.0, root=True)
    if hi - lo <= 1e-12 * max(abs(lo), abs(hi)):
        apart = 0.1 * abs(hi) or 1.0
        return Scale(lo - apart, hi + apart)
    return Scale(lo - room * (hi - lo), hi + room * (hi - lo))


def nice_ticks(scale: Scale, most: int = 5, integer: bool = False) -> list[float]:
    """Round values within a scale, at most so many and one.

    >>> nice_ticks(Scale(0.118, 0.142))
    [0.12, 0.125, 0.13, 0.135, 0.14]
    """
    locator = MaxNLocator(nbins=most, steps=[1, 2, 2.5, 5, 10], integer=integer)
    found = [round(float(tick), 12) for tick in locator.tick_values(scale.lo, scale.hi)]
    return [tick for tick in found if scale.lo <= tick <= scale.hi]


def root_ticks(scale: Scale, apart: float = 0.07) -> Sequence[float]:
    """Round shares within a scale by roots, none nearer to the one before than this share of the axis."""
    found: list[float] = []
    for tick in ROOT_TICKS:
        if tick <= scale.hi and (not found or scale(tick) - scale(found[-1]) >= apart):
            found.append(tick)
    return found
