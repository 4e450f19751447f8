"""The data sets of the paper's tables: how each is read, split and encoded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from reloop_stream.config import FieldConfig
from reloop_stream.events import Column, concat_columns, take_column
from reloop_stream.features.encoder import Encoder
from simulator.datasets import avazu, criteo
from simulator.datasets.config import (
    AvazuConfig,
    CriteoConfig,
    DataConfig,
    FrappeConfig,
    MovieLensConfig,
    MovieLensTagConfig,
    MovieLensTagsConfig,
)
from simulator.datasets.fingerprint import fingerprints
from simulator.datasets.frappe import FEATURES, parts_of
from simulator.datasets.read import open_source, read_rows
from simulator.datasets.rows import find
from simulator.errors import DataError
from simulator.paper.network import take
from simulator.paper.protocol import Prepared
from simulator.paper.training import Examples

__all__ = ["READERS", "Corpus", "DataSet", "prepare", "read"]

PARTS = ("train", "validation", "test")
SHARES = (0.8, 0.1, 0.1)
KINDS: dict[str, dict[str, str]] = {
    "category": {"kind": "category"},
    "list": {"kind": "list"},
    "bucketed": {"kind": "number", "transform": "buckets"},
}
ROOM = 1 << 28  # values of a field: more than any of these sets has


@dataclass(frozen=True)
class DataSet:
    """How one is read. fields: name → one of `KINDS`. has_clock: whether its rows say when they happened."""

    fields: Mapping[str, str]
    config: Callable[[str], DataConfig]
    has_clock: bool


@dataclass(frozen=True)
class Corpus:
    """A data set in memory. part: int8 [n], which of `PARTS` a published split puts a row into; None where it has none.
    time_ms: int64 [n]; None without a clock. sha256: of its files."""

    fields: list[FieldConfig]
    features: Mapping[str, Column]
    label: np.ndarray
    time_ms: np.ndarray | None
    part: np.ndarray | None
    sha256: Mapping[str, str]

    @property
    def is_split_anew(self) -> bool:
        """Whether each seed splits the rows anew."""
        return self.part is None

    @property
    def test_share(self) -> float:
        """Test rows over training rows where each seed splits them anew, else 0: see `simulator.paper.pairs`."""
        return SHARES[2] / SHARES[0] if self.is_split_anew else 0.0


READERS = {
    "criteo": DataSet(
        {**dict.fromkeys(criteo.COUNTS, "bucketed"), **dict.fromkeys(criteo.CATEGORIES, "category")},
        lambda path: CriteoConfig(format="criteo", path=path),
        has_clock=False,
    ),
    "avazu": DataSet(
        dict.fromkeys(("hour_of_day", "day_of_week", *avazu.INTEGERS, *avazu.TEXTS), "category"),
        lambda path: AvazuConfig(format="avazu", path=path),
        has_clock=True,
    ),
    "frappe": DataSet(
        dict.fromkeys(FEATURES["frappe"], "category"),
        lambda path: FrappeConfig(format="frappe", path=path),
        has_clock=False,
    ),
    "movielens_tag": DataSet(
        dict.fromkeys(FEATURES["movielens_tag"], "category"),
        lambda path: MovieLensTagConfig(format="movielens_tag", path=path),
        has_clock=False,
    ),
    "ml_tags": DataSet(
        {"user_id": "category", "item_id": "category", "tag": "category"},
        lambda path: MovieLensTagsConfig(format="movielens_tags", path=path),
        has_clock=True,
    ),
    "ml_ratings": DataSet(
        {"user_id": "category", "item_id": "category", "genres": "list", "year": "category"},
        lambda path: MovieLensConfig(format="movielens", path=path),
        has_clock=True,
    ),
}


def read(name: str, path: str) -> Corpus:
    """The data set at a path: a file, a folder that the data set's reader knows, or one of a published split.

    Raises DataError.
    """
    data_set, found = READERS[name], find(path)
    is_split = found.is_dir() and isinstance(data_set.config(path), FrappeConfig | MovieLensTagConfig)
    files = [str(file) for file in parts_of(found).values()] if is_split else [path]
    configs = [data_set.config(file) for file in files]
    parts = [read_rows(config) for config in configs]
    features = {field: concat_columns([rows.features[field] for rows in parts]) for field in data_set.fields}
    sizes = [len(rows) for rows in parts]
    return Corpus(
        [
            FieldConfig.model_validate({"name": field, "mode": "growing", "buckets": ROOM, **KINDS[kind]})
            for field, kind in data_set.fields.items()
        ],
        features,
        np.concatenate([rows.label for rows in parts]),
        np.concatenate([rows.time_ms for rows in parts]) if data_set.has_clock else None,
        np.repeat(np.arange(len(parts), dtype=np.int8), sizes) if len(parts) > 1 else None,
        {
            file: found.sha256
            for config in configs
            for file, found in fingerprints(config.path, open_source(config).files).items()
        },
    )


def prepare(corpus: Corpus, seed: int) -> Prepared:
    """The published split; where there is none, one of 8:1:1 by the seed. The vocabulary is that of the training rows:
    values of the others alone share a row of their field. Raises DataError where a part lacks clicks, or has nothing else."""
    n = len(corpus.label)
    if corpus.part is None:
        ends = np.cumsum([round(share * n) for share in SHARES[:-1]])
        index = np.split(np.random.default_rng([seed, n]).permutation(n), ends)
    else:
        index = [np.flatnonzero(corpus.part == number) for number in range(len(PARTS))]
    encoder = Encoder(corpus.fields)
    encoder.learn_values({name: take_column(column, index[0]) for name, column in corpus.features.items()})
    encoded = encoder.encode(corpus.features)
    train, valid, test = (Examples(take(encoded, rows), corpus.label[rows]) for rows in index)
    for part, examples in zip(PARTS, (train, valid, test), strict=True):
        if examples.label.min(initial=1) == examples.label.max(initial=0):
            raise DataError(f"of {n:,} rows the {len(examples):,} of {part} are all clicks, or none is: AUC needs both")
    return Prepared(encoder, train, valid, test, None if corpus.time_ms is None else corpus.time_ms[index[0]])
