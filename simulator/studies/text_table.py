"""Tables for a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

from simulator.readout.statistics.estimate import Estimate, p_text
from simulator.readout.text_table import text_table

__all__ = ["aligned", "number", "p_number", "with_interval"]


def aligned(lines: Sequence[Sequence[str]], left: int) -> str:
    """Columns under each other, texts of the first `left` of them from the left, the others' to the right.

    >>> print(aligned([["arm", "CTR"], ["control", "8.1%"]], left=1))
    arm       CTR
    control  8.1%
    """
    header, *rows = lines
    return "\n".join(text_table(header, rows, right=range(left, len(header))))


def number(value: float, form: str) -> str:
    return "-" if math.isnan(value) else f"{value:{form}}"


def p_number(p: float) -> str:
    """
    >>> p_number(0.04), p_number(1e-9), p_number(math.nan)
    ('0.040', '< 0.001', '-')
    """
    return "-" if math.isnan(p) else p_text(p).removeprefix("p ").removeprefix("= ")


def with_interval(found: Estimate) -> str:
    """
    >>> with_interval(Estimate(0.01, -0.005, 0.025, 0.19))
    '+1.00% [-0.50%, +2.50%]'
    """
    if math.isnan(found.relative):
        return "-"
    return (
        f"{found.relative:+.2%}"
        if math.isnan(found.lo)
        else f"{found.relative:+.2%} [{found.lo:+.2%}, {found.hi:+.2%}]"
    )
