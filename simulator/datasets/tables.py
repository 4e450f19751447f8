"""Tables: CSV and Parquet, whose columns the scenario names, or a format that is one of these."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from reloop_stream.events import Column, constant
from simulator.datasets.catalogue import Catalogue, CatalogueOfRows
from simulator.datasets.cells import features, ids, integers, labels, probabilities, weights
from simulator.datasets.config import CsvConfig, ParquetConfig, TableConfig
from simulator.datasets.csv_file import CsvFile
from simulator.datasets.rejects import Rejects
from simulator.datasets.rows import ROW_MS, ReplayRows, find
from simulator.datasets.source import Source
from simulator.datasets.table import Table, converted, only
from simulator.datasets.text_file import text_file
from simulator.datasets.times import Clock
from simulator.errors import DataError

__all__ = [
    "TableSource",
    "Tables",
    "csv_file",
    "csv_source",
    "csv_tables",
    "parquet_names",
    "parquet_source",
    "parquet_tables",
]

# Rows of a block of Parquet.
BLOCK_ROWS = 1 << 16

Tables: TypeAlias = Callable[[Sequence[str], Rejects], Iterator[Table]]


class TableSource(Source):
    """Rows of tables. tables: gives these columns, block by block. kinds: of the model's fields, by name."""

    def __init__(
        self,
        config: TableConfig,
        files: list[Path],
        tables: Tables,
        kinds: Mapping[str, str],
        *,
        first_year: int = 2000,
    ) -> None:
        clock = f"the column {config.time!r}" if config.time else ""
        super().__init__(files, config.label.rule, clock, has_users=config.user is not None)
        chosen = {"user_id": config.user, "item_id": config.item} | {one.feature: one for one in config.columns}
        self.fills = {name: one.missing for name, one in chosen.items() if one is not None and one.missing is not None}
        self._config = config
        self._tables = tables
        self._kinds = kinds
        self._first_year = first_year
        self._clock: Clock | None = None
        self._items = CatalogueOfRows()
        self._before = 0

    def blocks(self, rejects: Rejects) -> Iterator[ReplayRows]:
        config = self._config
        if config.time is not None:
            self._clock = Clock(config.time, config.time_unit, config.time_format, first_year=self._first_year)
        optional: tuple[str | None, ...] = (
            config.time,
            config.weight,
            config.propensity,
            config.request,
            config.position,
        )
        chosen = [one for one in (config.user, config.item, *config.columns) if one is not None]
        optional += tuple(one.weights for one in chosen)
        names = [config.label.column, *(one.column for one in chosen), *(name for name in optional if name is not None)]
        self._before, self._items = 0, CatalogueOfRows()
        yield from converted(self._tables(list(dict.fromkeys(names)), rejects), rejects, self._rows)

    def _rows(self, table: Table) -> ReplayRows:
        config, types = self._config, self.types
        if self._clock is None:
            time_ms = np.arange(self._before, self._before + len(table), dtype=np.int64) * ROW_MS
        else:
            time_ms = self._clock.times_ms(table)
        nobody = constant(0, len(table), np.int64)
        user = nobody if config.user is None else ids(table, config.user, types)
        item = nobody if config.item is None else ids(table, config.item, types)
        columns: dict[str, Column] = {"user_id": user, "item_id": item}
        for column in config.columns:
            columns[column.feature] = features(table, column, types, self._kinds.get(column.feature))
        rows = ReplayRows(
            time_ms,
            user,
            item,
            labels(table, config.label),
            columns,
            request_id=None if config.request is None else integers(table, config.request),
            position=None if config.position is None else _positions(table, config.position),
            propensity=None if config.propensity is None else probabilities(table, config.propensity),
            weight=None if config.weight is None else weights(table, config.weight),
        )
        if config.propensity is not None and config.item is not None:
            described = {name: columns[name] for name in config.item_columns}
            self._items.add(table, config.item.column, item, described)
        self._before += len(rows)
        return rows

    @property
    def catalogue(self) -> Catalogue | None:
        return self._items.catalogue

    @property
    def doubt(self) -> str:
        return "" if self._clock is None else self._clock.doubt


def _positions(table: Table, name: str) -> np.ndarray:
    values = integers(table, name)
    if (bad := (values < 0) | (values >= 1 << 31)).any():
        rows = np.flatnonzero(bad)
        raise table.bad_rows(name, rows, lambda row: f"holds {values[row]} in {{place}}, a position must be 0 or more")
    return values.astype(np.int32)


def csv_file(config: CsvConfig) -> CsvFile:
    """The file that the scenario describes. Raises DataError."""
    file = text_file(find(config.path), config.encoding)
    return CsvFile(file, config.mark, names=config.names, quotes=config.quotes)


def csv_source(config: CsvConfig, kinds: Mapping[str, str]) -> TableSource:
    """The rows of a CSV file. Raises DataError."""
    file = csv_file(config)
    return TableSource(config, [file.path], file.tables, kinds)


def csv_tables(files: Sequence[CsvFile]) -> Tables:
    """The rows of files of one form, one file after the other."""

    def tables(names: Sequence[str], rejects: Rejects) -> Iterator[Table]:
        for file in files:
            yield from file.tables(names, rejects)

    return tables


def _row(before: int, row: int) -> str:
    return f"row {before + row + 1}"


def parquet_source(config: ParquetConfig, kinds: Mapping[str, str]) -> TableSource:
    """A Parquet file, or a folder of its parts in the order of their names. Raises DataError."""
    path = find(config.path)
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    return TableSource(config, files, parquet_tables(path), kinds)


def parquet_names(path: Path) -> list[str]:
    """The columns of a Parquet file or folder. Raises DataError."""
    with _readable(path):
        return [*pq.ParquetDataset(path).schema.names]


def parquet_tables(path: Path, hint: str = "") -> Tables:
    """The rows of a Parquet file or folder. hint: the remedy where a column is missing."""

    def tables(names: Sequence[str], rejects: Rejects) -> Iterator[Table]:
        before = 0
        for name in names:
            only(str(path), parquet_names(path), name, hint)
        with _readable(path):
            for fragment in pq.ParquetDataset(path).fragments:
                for batch in fragment.to_batches(columns=list(names), batch_size=BLOCK_ROWS, use_threads=False):
                    columns = {name: pa.chunked_array([batch.column(name)]) for name in names}
                    if len(batch):
                        yield Table(str(path), columns, partial(_row, before), is_typed=True)
                    before += len(batch)

    return tables


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Arrow's errors as one of the data."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: is no readable Parquet: {' '.join(str(error).split())[:300]}") from None
