"""Rows that cannot be read: named and kept where a share of them is allowed, else the end of the reading."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from simulator.errors import DataError

__all__ = ["FILE_NAME", "BadRows", "Rejects"]

FILE_NAME = "bad_rows.csv"
# Below so many rows a share says little: one bad row in ten is a tenth.
FEWEST_ROWS = 1000


class BadRows(DataError):
    """Rows of a table that cannot be read. rows: their places in it, int64 [k]. said: what is wrong with one of them."""

    def __init__(self, rows: np.ndarray, said: Callable[[int], str]) -> None:
        super().__init__(said(int(rows[0])))
        self.rows = rows
        self.said = said


class Rejects:
    """Counts rows that cannot be read, and writes where each lies and why.

    share: how many of all rows may be such; 0: the first one ends the reading. path: of the file that tells of them.
    """

    def __init__(self, share: float = 0.0, path: Path | None = None) -> None:
        self.count = 0
        self._share = share
        self._first = ""
        self._path = path
        if path is not None:
            path.unlink(missing_ok=True)

    @property
    def is_strict(self) -> bool:
        return self._share == 0

    def add(self, messages: Iterable[str]) -> None:
        """Count rows. Raises DataError with the first message where none is allowed."""
        if self.is_strict:
            raise DataError(next(iter(messages)))
        messages = list(messages)
        self._first = self._first or messages[0]
        if self._path is not None:
            is_new = not self._path.exists()
            with open(self._path, "a", newline="", encoding="utf-8") as file:
                writer = csv.writer(file)
                if is_new:
                    writer.writerow(["reason"])
                writer.writerows([message] for message in messages)
        self.count += len(messages)

    def check(self, rows: int, *, is_end: bool = False) -> None:
        """Raise DataError where too many of so many rows, these included, are bad."""
        if self.count and (is_end or rows >= FEWEST_ROWS) and self.count > self._share * rows:
            raise DataError(
                f"{self.count:,} of {rows:,} rows cannot be read, data.bad_rows allows a share of {self._share:g}; the first: "
                f"{self._first}"
            )

    def note(self) -> str:
        """What a reader of the results must know, or ""."""
        if not self.count:
            return ""
        return (
            f"{self.count:,} rows that cannot be read were left out ({FILE_NAME} names each), the first: {self._first}"
        )
