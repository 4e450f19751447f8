"""What a column of texts holds, told by all of them while they pass block by block."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Literal, TypeVar

__all__ = ["ColumnTypes", "Evidence", "Retyped", "Type", "Use", "settled"]

Read = TypeVar("Read")

Type = Literal["text", "integer", "number"]
# What a column is for: an id, a category or list of the model, one of its numbers, or a feature that it does not name.
Use = Literal["id", "category", "number", "plain"]


class Evidence(enum.Flag):
    """Kinds of text that a column was seen to hold."""

    INTEGER = enum.auto()  # as one writes it
    PADDED = enum.auto()  # 007, +5, -0: an integer, and its text is another than the integer's
    BIG = enum.auto()  # an integer beyond 64 bits
    NUMBER = enum.auto()  # 1.5, 1e9
    MISSING = enum.auto()  # NA, nan: a gap among numbers, a word among words
    WORD = enum.auto()


class Retyped(Exception):
    """A text says that what was read so far was taken for another type: read again from the beginning."""


class ColumnTypes:
    """The types of the columns of one file. Ask `of`, tell by `add`; `settle` after the last block.

    The answer is that of all texts together, whatever the blocks: a word anywhere makes a column text, `007` among
    integers too, a number with a point makes it numbers. What can only be said at the end, that `NA` stood among numbers
    say, is found in one more reading, in which `is_final` is true and the row can be named.

    >>> types = ColumnTypes()
    >>> types.of("user", "id")
    'integer'
    >>> types.add("user", Evidence.INTEGER | Evidence.WORD, "id")
    Traceback (most recent call last):
    simulator.datasets.column_types.Retyped: user
    >>> types.of("user", "id")
    'text'
    """

    def __init__(self) -> None:
        self._found: dict[str, Evidence] = {}
        self._uses: dict[str, Use] = {}
        self.is_final = False

    def found(self, column: str) -> Evidence:
        return self._found.get(column, Evidence(0))

    def of(self, column: str, use: Use) -> Type:
        """What the column is taken for now."""
        found = self.found(column)
        if self._is_undecided(found, use):
            if not self.is_final:
                return "text"
            # What is left once the rows that are mistakes are gone.
            found &= ~(Evidence.MISSING | Evidence.BIG)
            if use != "plain":
                found &= ~Evidence.NUMBER
        if not found & ~Evidence.INTEGER:
            return "integer"
        return "number" if Evidence.NUMBER in found and Evidence.WORD not in found else "text"

    def is_open(self, column: str) -> bool:
        """Whether more texts could change the answer."""
        return Evidence.WORD not in self.found(column)

    def add(self, column: str, evidence: Evidence, use: Use) -> None:
        """Raises Retyped where it changes what the column is taken for."""
        before = self.of(column, use)
        self._found[column] = self.found(column) | evidence
        self._uses[column] = use
        if self.of(column, use) != before:
            raise Retyped(column)

    def settle(self) -> None:
        """Raises Retyped where a mistake is left that only the whole column shows."""
        if not self.is_final and any(
            self._is_undecided(found, self._uses[name]) for name, found in self._found.items()
        ):
            self.is_final = True
            raise Retyped

    @staticmethod
    def _is_undecided(found: Evidence, use: Use) -> bool:
        """Whether a word would be needed to make sense of it, or the use forbids what it is."""
        if Evidence.WORD in found:
            return False
        is_number = bool(found & (Evidence.NUMBER | Evidence.MISSING))
        return (is_number and use != "plain") or Evidence.MISSING in found or (not is_number and Evidence.BIG in found)


def settled(read: Callable[[ColumnTypes], Read]) -> Read:
    """What a whole reading gives, once its types are those of all that was read."""
    types = ColumnTypes()
    while True:
        try:
            found = read(types)
            types.settle()
            return found
        except Retyped:
            continue
