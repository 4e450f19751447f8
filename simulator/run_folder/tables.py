"""Tables as CSV and Parquet: written whole or not at all, and read with the types that they were written with."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from reloop_stream.codec.arrays import numbers, texts, values
from reloop_stream.state.files import write_atomic
from simulator.errors import RunFolderError
from simulator.run_folder.columns import TEXT_COLUMNS

__all__ = [
    "as_value",
    "parquet_writer",
    "read_csv",
    "read_parquet",
    "repeated",
    "table_of",
    "write_csv",
    "write_parquet",
]


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """The columns of the rows, with a header. Floats in the shortest form that reads back as the same number."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_as_text(row.get(name)) for name in columns] for row in rows)
    write_atomic(path, text.getvalue().encode())


def read_csv(path: Path, needed: Sequence[str] = ()) -> pa.Table:
    """Raises RunFolderError naming the file, and the column that is missing in it."""
    types = dict.fromkeys(TEXT_COLUMNS, pa.string())
    try:
        table = pyarrow.csv.read_csv(path, convert_options=pyarrow.csv.ConvertOptions(column_types=types))
    except (pa.ArrowException, OSError) as error:
        raise RunFolderError(f"{path}: cannot be read: {error}") from None
    return _with(path, table, needed)


def table_of(columns: Mapping[str, Any]) -> pa.Table:
    """The table of arrays [rows], lists and arrow's own columns."""
    return pa.table({name: _column(column) for name, column in columns.items()})


def _column(column: Any) -> Any:
    if isinstance(column, np.ndarray):
        return numbers(column)
    return values(column) if isinstance(column, list) else column


def repeated(text: str, n: int) -> pa.Array:
    """The text n times."""
    return pa.repeat(texts([text])[0], n)


def parquet_writer(where: Any, schema: pa.Schema) -> pq.ParquetWriter:
    """Of whole numbers the differences are written: tables of users in their order take half the bytes that they take as a
    dictionary, and half the time."""
    whole = [field.name for field in schema if pa.types.is_integer(field.type)]
    return pq.ParquetWriter(
        where,
        schema,
        use_dictionary=[name for name in schema.names if name not in whole],
        column_encoding=dict.fromkeys(whole, "DELTA_BINARY_PACKED"),
    )


def write_parquet(path: Path, table: pa.Table) -> None:
    sink = pa.BufferOutputStream()
    with parquet_writer(sink, table.schema) as writer:
        writer.write_table(table)
    write_atomic(path, sink.getvalue().to_pybytes())


def read_parquet(path: Path, needed: Sequence[str] = (), coded: Sequence[str] = ()) -> pa.Table:
    """coded: columns of texts to read as dictionaries, which take a third. Raises RunFolderError naming the file, and the column
    that is missing in it."""
    try:
        return _with(path, pq.read_table(path, read_dictionary=list(coded)), needed)
    except (pa.ArrowException, OSError) as error:
        raise RunFolderError(f"{path}: cannot be read: {error}") from None


def _with(path: Path, table: pa.Table, needed: Sequence[str]) -> pa.Table:
    if missing := [name for name in needed if name not in table.column_names]:
        raise RunFolderError(f"{path}: has no column {missing[0]!r}")
    return table


def as_value(value: Any) -> Any:
    """None for a float that is not defined."""
    return None if isinstance(value, float) and math.isnan(value) else value


def _as_text(value: Any) -> Any:
    value = as_value(value)
    return "" if value is None else repr(value) if isinstance(value, float) else value
