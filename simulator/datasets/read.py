"""Opening and reading a data set, whatever its format."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import assert_never

from simulator.datasets.avazu import avazu_source
from simulator.datasets.config import (
    AvazuConfig,
    CriteoConfig,
    CsvConfig,
    DataConfig,
    FrappeConfig,
    KuaiRandConfig,
    LibffmConfig,
    LibfmConfig,
    LibsvmConfig,
    MindConfig,
    MovieLensConfig,
    MovieLensTagConfig,
    MovieLensTagsConfig,
    OpenBanditConfig,
    ParquetConfig,
    TrivagoConfig,
)
from simulator.datasets.criteo import criteo_source
from simulator.datasets.frappe import fields_source
from simulator.datasets.kuairand import kuairand_source
from simulator.datasets.libfm import LibfmSource
from simulator.datasets.mind import MindSource
from simulator.datasets.movielens import MovieLensSource
from simulator.datasets.movielens_tags import MovieLensTagsSource
from simulator.datasets.open_bandit import OpenBanditSource
from simulator.datasets.prepared import prepare
from simulator.datasets.rows import ReplayRows
from simulator.datasets.source import Source
from simulator.datasets.sparse_text import LibffmSource, LibsvmSource
from simulator.datasets.tables import csv_source, parquet_source
from simulator.datasets.trivago import TrivagoSource

__all__ = ["open_source", "read_rows"]


def open_source(config: DataConfig, kinds: Mapping[str, str] | None = None) -> Source:
    """The data set that a scenario names, not read yet. kinds: of the model's fields, by name. Raises DataError."""
    kinds = kinds or {}
    match config:
        case MovieLensConfig():
            return MovieLensSource(config)
        case MovieLensTagsConfig():
            return MovieLensTagsSource(config)
        case CriteoConfig():
            return criteo_source(config, kinds)
        case AvazuConfig():
            return avazu_source(config, kinds)
        case FrappeConfig() | MovieLensTagConfig():
            return fields_source(config)
        case MindConfig():
            return MindSource(config)
        case OpenBanditConfig():
            return OpenBanditSource(config, kinds)
        case TrivagoConfig():
            return TrivagoSource(config)
        case KuaiRandConfig():
            return kuairand_source(config, kinds)
        case CsvConfig():
            return csv_source(config, kinds)
        case ParquetConfig():
            return parquet_source(config, kinds)
        case LibfmConfig():
            return LibfmSource(config)
        case LibsvmConfig():
            return LibsvmSource(config)
        case LibffmConfig():
            return LibffmSource(config)
        case _:
            assert_never(config)


def read_rows(config: DataConfig, kinds: Mapping[str, str] | None = None) -> ReplayRows:
    """The whole data set in memory, in its order. Raises DataError, also where no row is there, none is a click, or all are."""
    with (
        tempfile.TemporaryDirectory(prefix="reloop-rows-") as folder,
        prepare(open_source(config, kinds), config, Path(folder) / "rows") as prepared,
    ):
        return prepared.rows(0, len(prepared))
