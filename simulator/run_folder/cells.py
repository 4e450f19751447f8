"""The columns of a table that a stranger wrote: read by what they mean, or refused with the row and the remedy."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from simulator.errors import TableError

__all__ = ["Cells"]

DAY_S = 86_400
AS_DATE = "2024-05-31"
NO_DATE = 0
MOST_DAYS = 3660


class Cells:
    """path: of the file. first: the number of the first row, in lines of a CSV file."""

    def __init__(self, path: Path, table: pa.Table, first: int) -> None:
        self.path = path
        self.table = table
        self._first = first

    def refuse(self, wrong: np.ndarray, column: str, why: Callable[[int], str]) -> None:
        """Raise TableError for the first row that is wrong, bool [rows]; why: from its place to what is said of it."""
        if wrong.any():
            row = int(wrong.argmax())
            raise TableError(f"{self.path}:{row + self._first}: {column}: {why(row)}")

    def counts(self, name: str) -> np.ndarray:
        """Whole numbers from 0 on: int64 [rows]."""
        column = self._full(name)
        if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
            numbers = column.cast(pa.string())
            fit = pc.match_substring_regex(numbers, r"^\s*[0-9]+(\.0*)?\s*$")
            self.refuse(
                ~_numpy(fit), name, lambda row: f"got {numbers[row].as_py()!r}, must be a whole number, 0 or more"
            )
            column = pc.utf8_trim_whitespace(numbers).cast(pa.float64())
        values = _numpy(column)
        wrong = ~(values >= 0) | (values != np.floor(values)) | ~np.isfinite(values)
        self.refuse(wrong, name, lambda row: f"got {values[row]}, must be a whole number, 0 or more")
        return values.astype(np.int64)

    def coded(self, name: str) -> pa.DictionaryArray:
        """The different values, and which of them each row has; none may be empty."""
        column = self._full(name)
        # Joined first: a dictionary a block would have to be made one again.
        whole: pa.DictionaryArray = (
            column.unify_dictionaries().combine_chunks()
            if pa.types.is_dictionary(column.type)
            else pc.dictionary_encode(column.combine_chunks())
        )
        if pa.types.is_string(whole.dictionary.type) or pa.types.is_large_string(whole.dictionary.type):
            blank = pc.equal(pc.utf8_trim_whitespace(whole.dictionary), "").to_numpy(zero_copy_only=False)
            if blank.any():
                self.refuse(blank[whole.indices.to_numpy()], name, lambda row: "is empty; every row needs one")
        return whole

    def names(self, name: str) -> tuple[list[str], np.ndarray]:
        """The different values as text, in order, and the place of each row's: int [rows]."""
        coded = self.coded(name)
        found = [str(value) for value in coded.dictionary.to_pylist()]
        names = sorted(set(found))
        at = {value: i for i, value in enumerate(names)}
        place = np.array([at[value] for value in found])
        return names, place[coded.indices.to_numpy()]

    def days(self, name: str) -> np.ndarray:
        """Days since the first one, of whole numbers or of dates: int64 [rows]."""
        column = self._full(name)
        kind = column.type
        if pa.types.is_integer(kind):
            values = _numpy(column)
        elif pa.types.is_date(kind) or pa.types.is_timestamp(kind):
            values = _numpy(column.cast(pa.timestamp("s"), safe=False).cast(pa.int64())) // DAY_S
        elif pa.types.is_floating(kind):
            raise TableError(f"{self.path}: {name}: holds {kind}, must be whole numbers, or dates such as {AS_DATE}")
        else:
            values = self._dates(name)
        days = values.astype(np.int64) - int(values.min())
        self.refuse(
            days > MOST_DAYS,
            name,
            lambda row: f"lies {days[row]:,} days after the first, must be at most {MOST_DAYS:,}; is it a time?",
        )
        return np.asarray(days)

    def _dates(self, name: str) -> np.ndarray:
        """Text such as 2024-05-31, as days since a fixed one."""
        coded = self.coded(name)
        numbers = np.array([_ordinal(text) for text in coded.dictionary.to_pylist()])[coded.indices.to_numpy()]
        self.refuse(
            numbers == NO_DATE,
            name,
            lambda row: f"got {coded[row].as_py()!r}, must be a whole number, or a date such as {AS_DATE}",
        )
        return numbers

    def _full(self, name: str) -> pa.ChunkedArray:
        column = self.table[name]
        self.refuse(_numpy(pc.is_null(column)), name, lambda row: "is empty; every row needs one")
        return column


def _numpy(column: pa.ChunkedArray) -> np.ndarray:
    values: np.ndarray = column.to_numpy()
    return values


def _ordinal(text: object) -> int:
    try:
        return date.fromisoformat(str(text).strip()).toordinal()
    except ValueError:
        return NO_DATE
