"""A block of a file's rows as columns, whatever the file: each row knows its place, for an error that names it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from simulator.datasets.rejects import BadRows, Rejects
from simulator.errors import DataError

__all__ = ["Table", "converted", "is_list", "is_text", "is_whole", "only"]

Rows = TypeVar("Rows")


@dataclass(frozen=True)
class Table:
    """Rows of a file, one block of it. name: of the file. place: where a row lies in it.

    is_typed: whether a text is meant as one, as in Parquet; in CSV everything is written as text.
    """

    name: str
    columns: Mapping[str, pa.ChunkedArray]
    place: Callable[[int], str]
    is_typed: bool

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def error(self, column: str, message: str, row: int | None = None) -> DataError:
        """An error about a column; `{place}` in the message is the row's."""
        if row is None:
            return DataError(f"{self.name}: column {column!r} {message}")
        return self.bad_rows(column, np.array([row]), lambda _: message)

    def bad_rows(self, column: str, rows: np.ndarray, said: Callable[[int], str]) -> BadRows:
        """An error about these rows; `{place}` in what is said of one is its own."""
        return BadRows(
            rows, lambda row: f"{self.name}: column {column!r} {said(row).replace('{place}', self.place(row))}"
        )

    def without(self, rows: np.ndarray) -> Table:
        """The table without these rows, each of the others in its place."""
        kept = np.setdiff1d(np.arange(len(self)), rows)
        columns = {name: column.take(pa.array(kept)) for name, column in self.columns.items()}
        return replace(self, columns=columns, place=lambda row: self.place(int(kept[row])))

    def column(self, name: str, missing: str | float | None = None, *, may_be_empty: bool = False) -> pa.ChunkedArray:
        """A column without nulls, of integers, floats, truth values, times or UTF-8 texts. Raises DataError.

        missing: what an empty cell and a null stand for.
        """
        column = self.columns[name]
        try:
            kind = column.type
            if pa.types.is_dictionary(kind):
                column, kind = column.cast(kind.value_type), kind.value_type
            if pa.types.is_decimal(kind):
                column = column.cast(pa.float64() if kind.scale > 0 else pa.int64())
            elif pa.types.is_string_view(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
                column = column.cast(pa.string())
            elif self.is_typed and is_text(column):
                column.validate(full=True)  # Parquet promises UTF-8, and does not check it
        except pa.ArrowException as error:
            raise self.error(name, f"cannot be read: {error}; write it as UTF-8 text, or as numbers") from None
        empty = pc.is_null(column)
        if is_text(column) and not may_be_empty:
            empty = pc.or_(empty, pc.fill_null(pc.equal(column, ""), False))
        if pc.any(empty).as_py():
            if missing is None:
                rule = (
                    "is empty in {place}; every row must have a value (or say what an empty cell stands for: missing)"
                )
                raise self.bad_rows(name, np.flatnonzero(empty.to_numpy()), lambda _: rule)
            column = self._filled(name, column, empty, missing)
        kind = column.type
        if not (is_text(column) or is_whole(column) or pa.types.is_floating(kind) or pa.types.is_temporal(kind)):
            raise self.error(name, f"holds values of type {kind}; write it as numbers or as text")
        return column

    def _filled(
        self, name: str, column: pa.ChunkedArray, empty: pa.ChunkedArray, missing: str | float
    ) -> pa.ChunkedArray:
        if is_text(column):
            return pc.if_else(empty, pa.scalar(f"{missing}", column.type), column)
        if isinstance(missing, str):
            raise self.error(name, f"holds numbers, missing is the text {missing!r}; write a number")
        if is_whole(column) and isinstance(missing, float) and missing != int(missing):
            column = column.cast(pa.float64())
        return pc.if_else(empty, pa.scalar(missing).cast(column.type), column)


def converted(tables: Iterable[Table], rejects: Rejects, convert: Callable[[Table], Rows]) -> Iterator[Rows]:
    """What `convert` makes of each table, without the rows about which it raises BadRows, if `rejects` takes them."""
    for table in tables:
        while len(table):
            try:
                rows = convert(table)
            except BadRows as bad:
                rejects.add(bad.said(int(row)) for row in bad.rows)
                table = table.without(bad.rows)
            else:
                yield rows
                break


def is_text(column: pa.ChunkedArray) -> bool:
    return bool(pa.types.is_string(column.type) or pa.types.is_large_string(column.type))


def is_whole(column: pa.ChunkedArray) -> bool:
    return bool(pa.types.is_integer(column.type) or pa.types.is_boolean(column.type))


def is_list(column: pa.ChunkedArray) -> bool:
    return bool(pa.types.is_list(column.type) or pa.types.is_large_list(column.type))


def only(name: str, header: Sequence[str], column: str, hint: str = "") -> int:
    """Where a column stands among a file's. Raises DataError where it is not there, or twice."""
    if column not in header:
        there = ", ".join(one[:40] for one in header[:20])
        raise DataError(f"{name}: has no column {column!r}; it has {there}{hint}")
    if header.count(column) > 1:
        raise DataError(f"{name}: has {header.count(column)} columns of the name {column!r}; give each its own name")
    return header.index(column)
