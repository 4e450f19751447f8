"""Fewer bytes for the columns of an arrow record, in arrow's own types, so that any reader of arrow reads them.

Numbers take the narrowest type that holds them exactly. Where rows of one request follow each other, what is said of the
request is said once (run-end encoding), and all such columns have their runs in common.
"""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pyarrow as pa

from reloop_stream.codec.arrays import numbers
from reloop_stream.errors import EventError

__all__ = ["MAX_CELLS", "WIDE", "Runs", "compact", "expanded", "factor_of", "pays", "widened"]

# Below it the work for each column is more than the bytes that it saves.
MIN_ROWS = 256
MAX_ROWS = 1 << 16
# Of columns that take fewer bytes than they have rows, in one record: what a reader sets memory aside for, 32 MiB.
MAX_CELLS = 1 << 22
ROWS_A_RUN = 3  # a run costs its end and its value: from this many rows a run on it is worth its work
SIGNED = {size: np.dtype(f"i{size}") for size in (1, 2, 4, 8)}
# The types that may be written in fewer bytes.
WIDE = {name.encode(): np.dtype(name) for name in ("int16", "int32", "int64", "float64")}


def _kernels() -> ModuleType:
    """Brings numba, which processes that write and read small batches alone do without."""
    from reloop_stream.codec import compact_kernels

    return compact_kernels


def pays(rows: int, columns: int) -> bool:
    """Whether a batch of this size is written in fewer bytes: it is worth it, and readers will take it."""
    return MIN_ROWS <= rows <= min(MAX_ROWS, MAX_CELLS // columns)


def _bits(column: np.ndarray) -> np.ndarray:
    """The column to compare bit for bit: zero and minus zero differ, and a NaN equals itself."""
    return column if column.dtype.kind == "i" else column.view(f"i{column.itemsize}")


class Runs:
    """Rows that belong together, by where each run ends."""

    def __init__(self, ends: np.ndarray) -> None:
        """ends: int32 [runs]."""
        n = int(ends[-1])
        self._ends = ends
        self._last = ends - 1
        self._rows = n
        self._as_arrow = numbers(ends.astype(np.int16) if n < 1 << 15 else ends)

    @classmethod
    def of(cls, column: np.ndarray) -> Runs | None:
        """Those in which the integers [n] are equal; None where they are too many to be worth it."""
        ends = np.empty(len(column) // ROWS_A_RUN, dtype=np.int32)
        n = _kernels().find_ends(column, ends)
        return cls(ends[:n]) if n else None

    def of_each(self, column: np.ndarray) -> np.ndarray | None:
        """The column's value in each run; None where it changes within one."""
        return column[self._last] if _kernels().hold(_bits(column), self._ends) else None

    def spread(self, values: pa.Array) -> pa.Array:
        """The column of which these are the values of each run."""
        kind = pa.run_end_encoded(self._as_arrow.type, values.type)
        return pa.Array.from_buffers(kind, self._rows, [None], children=[self._as_arrow, values])


def compact(column: np.ndarray, runs: Runs | None, nullable: bool = False) -> pa.Array:
    """The numbers [n] in as few bytes as hold them bit for bit. nullable: whether NaN stands for nothing."""
    values = None if runs is None else runs.of_each(column)
    if runs is None or values is None:
        return numbers(_narrow(column), nullable)
    return runs.spread(numbers(_narrow(values), nullable))


def _narrow(column: np.ndarray) -> np.ndarray:
    """The numbers in the narrowest type that holds them exactly."""
    if column.dtype.kind == "i":
        low, high = _kernels().bounds(column)
        bits = max(high, ~low).bit_length()
        size = 1 if bits < 8 else 2 if bits < 16 else 4 if bits < 32 else 8
        return column if size >= column.itemsize else column.astype(SIGNED[size])
    if column.dtype == np.float64 and _kernels().are_single(column, column.view(np.int64)):
        return column.astype(np.float32)
    return column


def widened(name: str, column: np.ndarray, dtype: bytes) -> np.ndarray:
    """The column in the type that it had when it was written. Raises EventError where that cannot be."""
    wanted = WIDE.get(dtype)
    if wanted is None or not np.can_cast(column.dtype, wanted):
        raise EventError(f"{name}: is said to have been of type {dtype[:20]!r}, and is {column.dtype}")
    return column.astype(wanted, copy=False)


def expanded(name: str, ends: np.ndarray, values: np.ndarray, n: int) -> np.ndarray:
    """The column [n] of a record of which these are the values up to each end. Raises EventError where the ends are none of n rows."""
    column = np.empty(n, dtype=values.dtype)
    if values.dtype.kind == "O":
        number = np.empty(n, dtype=np.int64)
        fits = len(values) == len(ends) and _kernels().repeat(np.arange(len(ends)), ends.astype(np.int64), number)
        column = values[number] if fits else column
    else:
        # Copies, for what arrow gives may only be read, and code would be compiled for that apart.
        fits = len(values) == len(ends) and _kernels().repeat(values.copy(), ends.astype(np.int64), column)
    if not fits:
        raise EventError(f"{name}: its runs do not make {n} rows")
    return column


def factor_of(request_id: np.ndarray, position: np.ndarray, exposure_id: np.ndarray) -> int | None:
    """F where each exposure_id is F · request_id + position, in 64 bits; None where they are not made so."""
    columns = (request_id, position, exposure_id)
    if any(column.dtype.kind != "i" for column in columns) or exposure_id.dtype != np.int64 or request_id[0] == 0:
        return None
    factor = (int(exposure_id[0]) - int(position[0])) // int(request_id[0])
    if not 0 < factor < 1 << 31:
        return None
    made = _kernels().are_made(request_id.astype(np.int64, copy=False), position, exposure_id, factor)
    return factor if made else None
