"""Numbers as people read them: one minus sign, a dash for what is not defined, as many digits as are worth reading."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

__all__ = ["DASH", "Words", "as_percents", "as_plain", "interval", "number", "p_value", "percent", "signed"]

DASH = "–"
MOST = 99.99
Words = Callable[[float], str]


def _unknown(value: Any) -> bool:
    return value is None or (isinstance(value, float) and not math.isfinite(value))


def _minus(text: str) -> str:
    return text.replace("-", "−")


def percent(value: float | None, digits: int = 2, sign: bool = False) -> str:
    """A share in percent. Of what is beyond all use, as an end of an interval may be, it is said that it is.

    >>> percent(-0.0105, sign=True), percent(0.1234, 1), percent(math.nan), percent(3e21, sign=True)
    ('−1.05%', '12.3%', '–', '>+9999%')
    """
    if value is None or not math.isfinite(value):
        return DASH
    if abs(value) > MOST:
        return _minus(f"{'>' if value > 0 else '<'}{math.copysign(MOST, value):{'+' if sign else ''}.0%}")
    return _minus(f"{value:{'+' if sign else ''}.{digits}%}")


def number(value: Any, digits: int = 4) -> str:
    """A count with its thousands apart, or a number of so many digits; a text as it is.

    >>> number(1234567), number(0.51236, 3), number(None), number("1, 2")
    ('1,234,567', '0.512', '–', '1, 2')
    """
    if _unknown(value):
        return DASH
    if isinstance(value, float):
        return _minus(f"{value:,.{digits}f}")
    return _minus(f"{value:,}") if isinstance(value, int) else str(value)


def signed(value: float, digits: int = 5) -> str:
    """A difference.

    >>> signed(-0.0011), signed(0.25, 2)
    ('−0.00110', '+0.25')
    """
    return DASH if _unknown(value) else _minus(f"{value:+.{digits}f}")


def p_value(value: float | None) -> str:
    """
    >>> p_value(0.0312), p_value(0.00002), p_value(math.nan)
    ('0.031', '<0.001', '–')
    """
    if value is None or not math.isfinite(value):
        return DASH
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def interval(lo: float, hi: float, words: Words) -> str:
    """
    >>> interval(-0.01, 0.0236, lambda value: percent(value, 1, sign=True))
    '[−1.0%, +2.4%]'
    """
    return DASH if _unknown(lo) or _unknown(hi) else f"[{words(lo)}, {words(hi)}]"


def as_percents(ticks: Sequence[float], sign: bool = False) -> list[str]:
    """Labels of an axis, of as few digits as tell them apart.

    >>> as_percents([0.0, 0.025, 0.05])
    ['0.0%', '2.5%', '5.0%']
    >>> as_percents([-0.01, 0.0, 0.01], sign=True)
    ['−1%', '0%', '+1%']
    """
    digits = _digits([100 * tick for tick in ticks])
    return [percent(tick, digits, sign and abs(tick) > 1e-12) for tick in ticks]


def as_plain(ticks: Sequence[float], sign: bool = False) -> list[str]:
    """
    >>> as_plain([0.5, 0.55, 0.6]), as_plain([0.0, 0.01], sign=True), as_plain([0, 5000])
    (['0.50', '0.55', '0.60'], ['0.00', '+0.01'], ['0', '5,000'])
    """
    digits = _digits(ticks)
    return [_minus(f"{tick:{'+' if sign and abs(tick) > 1e-12 else ''},.{digits}f}") for tick in ticks]


def _digits(values: Sequence[float], most: int = 7) -> int:
    """The fewest with which no value is rounded by more than a thousandth of their distance."""
    step = min((b - a for a, b in pairwise(values)), default=1.0)
    return next((n for n in range(most) if all(abs(round(v, n) - v) < 1e-3 * step for v in values)), most)
