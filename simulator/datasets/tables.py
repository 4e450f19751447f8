"""CSV and Parquet: tables whose columns the scenario names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from simulator.datasets.cells import Table, features, ids, labels, only
from simulator.datasets.config import CsvConfig, ParquetConfig
from simulator.datasets.csv_file import CsvFile
from simulator.datasets.rows import ROW_MS, ReplayRows, find
from simulator.datasets.text_file import text_file
from simulator.datasets.times import times_ms
from simulator.errors import DataError

__all__ = ["read_table"]


def read_table(config: CsvConfig | ParquetConfig, kinds: Mapping[str, str] | None = None) -> ReplayRows:
    """The rows that the configuration describes, in the file's order.

    kinds: of the model's fields. Raises DataError naming file, column and row.
    """
    path = find(config.path)
    names = list(dict.fromkeys([config.user, config.item, config.label.column, *config.columns]))
    if config.time is not None and config.time not in names:
        names.append(config.time)
    if isinstance(config, CsvConfig):
        table = CsvFile(text_file(path), config.separator).read(names)
    else:
        table = _parquet(path, names)
    time_ms, doubt = np.arange(len(table), dtype=np.int64) * ROW_MS, ""
    if config.time is not None:
        time_ms, doubt = times_ms(table, config.time, config.time_unit)
    user, item = ids(table, config.user), ids(table, config.item)
    label = labels(table, config.label)
    columns = {name: features(table, name, (kinds or {}).get(name)) for name in config.columns}
    return ReplayRows(time_ms, user, item, label, {"user_id": user, "item_id": item} | columns, doubt=doubt)


def _parquet(path: Path, names: list[str]) -> Table:
    """These columns of a Parquet file, or of a folder of its parts."""
    try:
        header = pq.ParquetDataset(path).schema.names
        for name in names:
            only(str(path), header, name)
        table = pq.read_table(path, columns=names)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: is no readable Parquet: {' '.join(str(error).split())[:300]}") from None
    if not len(table):
        raise DataError(f"{path}: holds no event")
    return Table(str(path), {name: table[name] for name in names}, lambda row: f"row {row + 1}", is_typed=True)
