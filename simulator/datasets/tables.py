"""CSV and Parquet: tables whose columns the scenario names."""

from __future__ import annotations

import lzma
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from simulator.datasets.config import CsvConfig, LabelConfig, ParquetConfig
from simulator.datasets.rows import ReplayRows, find
from simulator.errors import DataError

__all__ = ["read_csv", "read_table"]

UNITS_MS = {"s": 1000.0, "ms": 1.0, "us": 0.001}
ROW_MS = 1000  # rows without a time are a second apart


def read_csv(path: Path, separator: str = ",") -> pa.Table:
    """A CSV file with a header, also compressed (.gz, .bz2, .xz). Raises DataError."""
    options = pyarrow.csv.ParseOptions(delimiter=separator)
    try:
        if path.suffix == ".xz":
            with lzma.open(path) as file:
                return pyarrow.csv.read_csv(pa.py_buffer(file.read()), parse_options=options)
        return pyarrow.csv.read_csv(path, parse_options=options)
    except (pa.ArrowException, OSError, lzma.LZMAError, EOFError) as error:
        raise DataError(f"{path}: is no readable CSV: {' '.join(str(error).split())[:300]}") from None


def read_table(config: CsvConfig | ParquetConfig) -> ReplayRows:
    """The rows that the configuration describes, in the file's order. Raises DataError naming the column."""
    path = find(config.path)
    if isinstance(config, CsvConfig):
        table = read_csv(path, config.separator)
    else:
        try:
            table = pq.read_table(path)
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{path}: is no readable Parquet: {error}") from None
    n = table.num_rows
    if not n:
        raise DataError(f"{path}: holds no event")
    time_ms = np.arange(n, dtype=np.int64) * ROW_MS
    if config.time is not None:
        time_ms = _time_ms(path, table, config.time, config.time_unit)
    user, item = _values(path, table, config.user), _values(path, table, config.item)
    features = {"user_id": user, "item_id": item} | {name: _values(path, table, name) for name in config.columns}
    return ReplayRows(time_ms, user, item, _label(path, table, config.label), features)


def _column(path: Path, table: pa.Table, name: str) -> pa.ChunkedArray:
    if name not in table.column_names:
        raise DataError(f"{path}: has no column {name!r}; it has {', '.join(table.column_names[:20])}")
    column = table[name]
    if column.null_count:
        row = pc.index(pc.is_null(column), True).as_py()
        raise DataError(f"{path}: column {name!r} is empty in row {row + 1}; every row must have a value")
    return column


def _values(path: Path, table: pa.Table, name: str) -> np.ndarray:
    """Integers as int64, numbers as float64, everything else as text."""
    column = _column(path, table, name)
    if pa.types.is_boolean(column.type) or pa.types.is_integer(column.type):
        return np.asarray(column.cast(pa.int64()).to_numpy())
    if pa.types.is_floating(column.type):
        return np.asarray(column.cast(pa.float64()).to_numpy())
    return np.array(column.cast(pa.string()).to_pylist(), dtype=object)


def _time_ms(path: Path, table: pa.Table, name: str, unit: str) -> np.ndarray:
    column = _column(path, table, name)
    if unit == "iso" or pa.types.is_timestamp(column.type):
        try:
            stamps = column.cast(pa.timestamp("ms"), safe=False)
        except pa.ArrowException as error:
            raise DataError(f"{path}: column {name!r} is no ISO time: {error}") from None
        return np.asarray(stamps.cast(pa.int64()).to_numpy())
    values = _values(path, table, name)
    if values.dtype.kind not in "if":
        raise DataError(f"{path}: column {name!r} holds text, data.time_unit: {unit} needs numbers (or set iso)")
    return (values * UNITS_MS[unit]).astype(np.int64)


def _label(path: Path, table: pa.Table, rule: LabelConfig) -> np.ndarray:
    values = _values(path, table, rule.column)
    if rule.at_least is None:
        wanted = 1 if rule.equals is None else rule.equals
        if values.dtype.kind == "O":
            return (values == str(wanted)).astype(np.uint8)
        if isinstance(wanted, str):
            raise DataError(f"{path}: column {rule.column!r} holds numbers, data.label.equals is the text {wanted!r}")
        return (values == wanted).astype(np.uint8)
    if values.dtype.kind == "O":
        raise DataError(f"{path}: column {rule.column!r} holds text, data.label.at_least needs numbers")
    return (values >= rule.at_least).astype(np.uint8)
