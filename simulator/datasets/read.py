"""Reading a data set, whatever its format."""

from __future__ import annotations

from typing import assert_never

import numpy as np

from simulator.datasets.config import CsvConfig, DataConfig, LibfmConfig, MovieLensConfig, ParquetConfig
from simulator.datasets.libfm import read_libfm
from simulator.datasets.movielens import read_movielens
from simulator.datasets.rows import ReplayRows, in_time_order
from simulator.datasets.tables import read_table
from simulator.errors import DataError

__all__ = ["read_rows"]


def read_rows(config: DataConfig) -> ReplayRows:
    """The data set in the order of time. Raises DataError; a data set without a row is one."""
    match config:
        case MovieLensConfig():
            rows = read_movielens(config)
        case CsvConfig() | ParquetConfig():
            rows = in_time_order(read_table(config))
        case LibfmConfig():
            rows = read_libfm(config)
        case _:
            assert_never(config)
    if config.max_events is not None:
        rows = rows.take(np.arange(min(config.max_events, len(rows))))
    if not len(rows):
        raise DataError(f"data.path: {config.path}: holds no event")
    return rows
