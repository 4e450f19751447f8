"""A table for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["text_table"]


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> list[str]:
    """Its lines, columns two spaces apart. right: the columns that are flush right. No line ends in spaces.

    >>> print(*text_table(["arm", "CTR"], [["control", "12.1%"], ["b", "9.9%"]], right=[1]), sep="\\n")
    arm        CTR
    control  12.1%
    b         9.9%
    """
    lines = [header, *rows]
    widths = [max(len(line[at]) for line in lines) for at in range(len(header))]
    return [
        "  ".join(
            cell.rjust(width) if at in right else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
