"""How the page's templates say what is estimated."""

from __future__ import annotations

import math

from simulator.readout.plots.svg.numbers import DASH, Words, interval, number, percent, signed
from simulator.readout.statistics.estimate import Difference

__all__ = ["apart", "interval_of", "is_same", "plain_percent", "signed_percent", "to_digits"]


def signed_percent(value: float) -> str:
    return percent(value, sign=True)


def plain_percent(value: float) -> str:
    return percent(value)


def to_digits(digits: int) -> Words:
    return lambda value: number(float(value), digits)


def interval_of(lo: float, hi: float, words: Words = signed_percent) -> str:
    """
    >>> interval_of(-0.01, 0.0236)
    '[−1.00%, +2.36%]'
    """
    return interval(lo, hi, words)


def apart(found: Difference, digits: int = 5) -> str:
    """
    >>> apart(Difference(0.01, -0.005, 0.025, 0.19), 3)
    '+0.010 [−0.005, +0.025]'
    """
    if math.isnan(found.mean):
        return DASH
    return f"{signed(found.mean, digits)} {interval(found.lo, found.hi, lambda value: signed(value, digits))}"


def is_same(found: Difference) -> bool:
    """Whether the arms are one and the same."""
    return found.lo == found.hi == 0
