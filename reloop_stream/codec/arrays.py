"""Columns as arrow's arrays and back, without pandas, which `pa.array` and `to_numpy` load first: half a second."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

__all__ = ["NUMBERS", "numbers", "plain", "texts", "values"]

NUMBERS = {
    np.dtype(name): pa.from_numpy_dtype(np.dtype(name))
    for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64")
}
DTYPES = {kind: dtype for dtype, kind in NUMBERS.items()}


def numbers(column: np.ndarray, nullable: bool = False) -> pa.Array:
    """Numbers or truth values [n], of the column's own bytes where they lie side by side. nullable: whether NaN stands for nothing."""
    if column.dtype == np.bool_:
        return pa.Array.from_buffers(pa.bool_(), len(column), [None, _bits(column)])
    kind = NUMBERS.get(column.dtype)
    if kind is None:
        return pa.array(column, from_pandas=nullable)
    there = None
    if nullable and column.dtype.kind == "f" and (is_nothing := np.isnan(column)).any():
        there = _bits(~is_nothing)
    return pa.Array.from_buffers(kind, len(column), [there, pa.py_buffer(np.ascontiguousarray(column))])


def texts(column: Sequence[str]) -> pa.Array:
    """Texts [n]."""
    encoded = [text.encode() for text in column]
    offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    return pa.StringArray.from_buffers(len(encoded), pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded)))


def values(column: Sequence[float | str | None]) -> pa.Array:
    """Whole numbers, numbers or texts [n], in which None stands for nothing."""
    kinds = {type(value) for value in column}
    if kinds == {str}:
        return texts(column)  # type: ignore[arg-type]  # that is what they are
    if not kinds - {int, float, type(None)} and kinds & {int, float}:
        filled = np.array(
            [0 if value is None else value for value in column], np.float64 if float in kinds else np.int64
        )
        there = None if type(None) not in kinds else _bits(np.array([value is not None for value in column]))
        return pa.Array.from_buffers(NUMBERS[filled.dtype], len(filled), [there, pa.py_buffer(filled)])
    return pa.array(column)


def _bits(column: np.ndarray) -> pa.Buffer:
    return pa.py_buffer(np.packbits(column, bitorder="little"))


def plain(array: pa.Array) -> np.ndarray:
    """What `numbers` made an array of, as a view where it can be."""
    dtype = DTYPES.get(array.type)
    if dtype is not None and not array.null_count and (data := array.buffers()[1]) is not None:
        return np.frombuffer(data, dtype, len(array), array.offset * dtype.itemsize)
    return np.asarray(array.to_numpy(zero_copy_only=False))
