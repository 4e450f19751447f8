"""Fewer bytes for the columns of an arrow record, in arrow's own types, so that any reader of arrow reads them.

Numbers take the narrowest type that holds them exactly. Where rows of one request follow each other, what is said of the
request is said once (run-end encoding), and all such columns have their runs in common.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from reloop_stream.errors import EventError

__all__ = ["MAX_CELLS", "WIDE", "Expander", "Runs", "compact", "factor_of", "numbers", "pays", "widened"]

# Below it the work for each column is more than the bytes that it saves.
MIN_ROWS = 256
MAX_ROWS = 1 << 16
# Of columns that take fewer bytes than they have rows, in one record: what a reader sets memory aside for, 32 MiB.
MAX_CELLS = 1 << 22
ROWS_A_RUN = 3  # a run costs its end and its value: from this many rows a run on it is worth its work
FLOAT_SAMPLE = 64  # rows that tell whether numbers may be float32's
# The types that may be written in fewer bytes.
WIDE = {name.encode(): np.dtype(name) for name in ("int16", "int32", "int64", "float64")}


NUMBERS = {
    np.dtype(name): pa.from_numpy_dtype(np.dtype(name))
    for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64")
}


def numbers(column: np.ndarray, nullable: bool = False) -> pa.Array:
    """The column as one of arrow's. nullable: whether NaN stands for nothing.

    Made of the column's own bytes where it can be: `pa.array` takes twice as long, and loads pandas first, half a second.
    """
    kind = NUMBERS.get(column.dtype)
    if kind is None or not column.flags.c_contiguous or (nullable and np.isnan(column).any()):
        return pa.array(column, from_pandas=nullable)
    return pa.Array.from_buffers(kind, len(column), [None, pa.py_buffer(column)])


def pays(rows: int, columns: int) -> bool:
    """Whether a batch of this size is written in fewer bytes: it is worth it, and readers will take it."""
    return MIN_ROWS <= rows <= min(MAX_ROWS, MAX_CELLS // columns)


def _bits(column: np.ndarray) -> np.ndarray:
    """The column to compare bit for bit: zero and minus zero differ, and a NaN equals itself."""
    return column if column.dtype.kind == "i" else column.view(f"i{column.itemsize}")


@dataclass(frozen=True, slots=True)
class Runs:
    """Rows that belong together. inside: bool [n - 1], whether the row after belongs to this one's run. ends: int [runs]."""

    inside: np.ndarray
    ends: np.ndarray
    array: pa.Array

    @classmethod
    def of(cls, column: np.ndarray) -> Runs | None:
        """Those in which the integers [n] are equal; None where they are too many to be worth it."""
        n = len(column)
        inside = column[1:] == column[:-1]
        if (n - np.count_nonzero(inside)) * ROWS_A_RUN > n:
            return None
        ends = np.append(np.flatnonzero(~inside) + 1, n)
        return cls(inside, ends, numbers(ends.astype(np.int16 if n < 1 << 15 else np.int32)))

    def hold(self, column: np.ndarray) -> bool:
        """Whether the column changes between runs only."""
        bits = _bits(column)
        return not ((bits[1:] != bits[:-1]) & self.inside).any()


def compact(column: np.ndarray, runs: Runs | None, nullable: bool = False) -> pa.Array:
    """The numbers [n] in as few bytes as hold them bit for bit. nullable: whether NaN stands for nothing."""
    if runs is None or not runs.hold(column):
        return numbers(_narrow(column), nullable)
    values = numbers(_narrow(column[runs.ends - 1]), nullable)
    return pa.RunEndEncodedArray.from_arrays(runs.array, values)


def _narrow(column: np.ndarray) -> np.ndarray:
    """The numbers in the narrowest type that holds them exactly."""
    if column.dtype.kind == "i":
        bits = max(int(column.max()), ~int(column.min())).bit_length()
        size = 1 if bits < 8 else 2 if bits < 16 else 4 if bits < 32 else 8
        return column if size >= column.itemsize else column.astype(f"i{size}")
    if column.dtype == np.float64 and _as_float32(column[:FLOAT_SAMPLE]) is not None:
        narrow = _as_float32(column)
        return column if narrow is None else narrow
    return column


def _as_float32(column: np.ndarray) -> np.ndarray | None:
    with np.errstate(over="ignore"):
        narrow = column.astype(np.float32)
    return narrow if np.array_equal(_bits(narrow.astype(np.float64)), _bits(column)) else None


def widened(name: str, column: np.ndarray, dtype: bytes) -> np.ndarray:
    """The column in the type that it had when it was written. Raises EventError where that cannot be."""
    wanted = WIDE.get(dtype)
    if wanted is None or not np.can_cast(column.dtype, wanted):
        raise EventError(f"{name}: is said to have been of type {dtype[:20]!r}, and is {column.dtype}")
    return column.astype(wanted, copy=False)


class Expander:
    """Rows from the runs of a record's columns, which mostly have their runs in common. n: how many rows they must make."""

    def __init__(self, n: int) -> None:
        self._n = n
        self._lengths: dict[bytes, np.ndarray] = {}

    def __call__(self, name: str, ends: np.ndarray, values: np.ndarray) -> np.ndarray:
        """The column [n] whose runs end at `ends`. Raises EventError where they are no ends of n rows."""
        key = ends.tobytes()
        lengths = self._lengths.get(key)
        if lengths is None:
            lengths = self._lengths[key] = np.diff(ends.astype(np.int64), prepend=0)
        if len(values) != len(lengths) or not len(lengths) or lengths.min() < 1 or ends[-1] != self._n:
            raise EventError(f"{name}: its runs do not make {self._n} rows")
        return np.repeat(values, lengths)


def factor_of(request_id: np.ndarray, position: np.ndarray, exposure_id: np.ndarray) -> int | None:
    """F where each exposure_id is F · request_id + position, in 64 bits; None where they are not made so."""
    columns = (request_id, position, exposure_id)
    if any(column.dtype.kind != "i" for column in columns) or exposure_id.dtype != np.int64 or request_id[0] == 0:
        return None
    factor = (int(exposure_id[0]) - int(position[0])) // int(request_id[0])
    if not 0 < factor < 1 << 31:
        return None
    return factor if np.array_equal(request_id.astype(np.int64) * factor + position, exposure_id) else None
