"""Reading a data set, whatever its format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

import numpy as np

from simulator.datasets.config import CsvConfig, DataConfig, LibfmConfig, MovieLensConfig, ParquetConfig
from simulator.datasets.libfm import read_libfm
from simulator.datasets.movielens import read_movielens
from simulator.datasets.rows import ReplayRows, in_time_order
from simulator.datasets.tables import read_table
from simulator.errors import DataError

__all__ = ["read_rows"]


def read_rows(config: DataConfig, kinds: Mapping[str, str] | None = None) -> ReplayRows:
    """The data set in the order of time. kinds: of the model's fields, by name.

    Raises DataError, also where no row is there, none is a click, or all are.
    """
    match config:
        case MovieLensConfig():
            rows, rule = read_movielens(config), f"data.positive: {config.positive:g}"
        case CsvConfig() | ParquetConfig():
            rows, rule = in_time_order(read_table(config, kinds)), config.label.rule
        case LibfmConfig():
            rows, rule = read_libfm(config), f"data.at_least: {config.at_least:g}"
        case _:
            assert_never(config)
    if config.max_events is not None:
        rows = rows.take(np.arange(min(config.max_events, len(rows))))
    if not len(rows):
        raise DataError(f"data.path: {config.path}: holds no event")
    clicks = int(np.count_nonzero(rows.label))
    if clicks in (0, len(rows)):
        which = "no row" if clicks == 0 else "every row"
        raise DataError(
            f"{config.path}: {which} of {len(rows):,} is a click by {rule}; nothing can be learnt from that"
        )
    return rows
