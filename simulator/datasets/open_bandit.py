"""The Open Bandit Dataset: what a fashion shop's policies showed, with the probability of each choice (Saito et al. 2021)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

import numpy as np

from reloop_stream.events import Column, take_column
from simulator.datasets.catalogue import Catalogue
from simulator.datasets.cells import features, integers, labels, numbers, probabilities, texts
from simulator.datasets.column_types import ColumnTypes, settled
from simulator.datasets.config import ColumnConfig, LabelConfig, OpenBanditConfig
from simulator.datasets.csv_file import CsvFile
from simulator.datasets.rejects import Rejects
from simulator.datasets.rows import ReplayRows, find
from simulator.datasets.source import Source
from simulator.datasets.table import Table, converted
from simulator.datasets.text_file import text_file
from simulator.datasets.times import Clock
from simulator.errors import DataError

__all__ = ["OpenBanditSource"]

AFFINITY = "user-item_affinity_"


class OpenBanditSource(Source):
    """A log. kinds: of the model's fields, by name.

    Features: user_id, item_id, user_feature_*, item_feature_*, and affinity, of the user and the item shown, which is read
    where a model has it as a field. The log has no users: rows of the same user features are one, its id a number made of
    them. Each row was logged for itself: the propensity is that of its item in its position. Raises DataError naming file
    and line.
    """

    def __init__(self, config: OpenBanditConfig, kinds: Mapping[str, str]) -> None:
        path = find(config.path)
        items = path.parent / config.items
        if not path.is_dir() and not items.exists():
            raise DataError(f"{items}: no such file; data.items names the items' file, which lies beside the log")
        super().__init__([path, items], "click: 1", "the column 'timestamp'")
        self._log = CsvFile(text_file(path))
        self._items_name = str(items)
        self._catalogue = _catalogue(CsvFile(text_file(items)), kinds)
        self._users = [name for name in self._log.header if name.startswith("user_feature_")] or ["user_feature_0"]
        with_affinity = not kinds or "affinity" in kinds
        self._affinities = [f"{AFFINITY}{item}" for item in self._catalogue.item_id.tolist()] if with_affinity else []
        self._clock = Clock("timestamp", "iso")

    def blocks(self, rejects: Rejects) -> Iterator[ReplayRows]:
        self._clock = Clock("timestamp", "iso")
        names = ["timestamp", "item_id", "position", "click", "propensity_score", *self._users, *self._affinities]
        yield from converted(self._log.tables(names, rejects), rejects, self._rows)

    def _rows(self, table: Table) -> ReplayRows:
        time_ms = self._clock.times_ms(table)
        catalogue, item = self._catalogue, integers(table, "item_id")
        at = np.minimum(catalogue.rows_of(item), len(catalogue) - 1)
        unknown = catalogue.item_id[at] != item
        _refuse(table, "item_id", item, unknown, f"which {self._items_name} does not have; name its own items")
        position = integers(table, "position")
        _refuse(table, "position", position, position < 1, "positions are counted from 1")
        described = {name: texts(table, name) for name in self._users}
        user = _user_ids(list(described.values()))
        offered: dict[str, Column] = {"user_id": user, **described}
        offered |= {name: take_column(column, at) for name, column in catalogue.features.items()}
        pairs: dict[str, np.ndarray] = {}
        if self._affinities:
            columns = [numbers(table, name, "an affinity is a number") for name in self._affinities]
            pairs["affinity"] = np.stack(columns, axis=1).astype(np.float64)
            offered["affinity"] = pairs["affinity"][np.arange(len(at)), at]
        return ReplayRows(
            time_ms,
            user,
            item,
            labels(table, LabelConfig(column="click")),
            offered,
            position=(position - 1).astype(np.int32),
            propensity=probabilities(table, "propensity_score"),
            pairs=pairs,
        )

    @property
    def catalogue(self) -> Catalogue:
        return self._catalogue

    @property
    def doubt(self) -> str:
        return self._clock.doubt


def _catalogue(file: CsvFile, kinds: Mapping[str, str]) -> Catalogue:
    names = [name for name in file.header if name.startswith("item_feature_")]
    table = file.read(["item_id", *names])
    item = integers(table, "item_id")
    order = np.argsort(item, kind="stable")
    again = np.zeros(len(item), dtype=bool)
    again[order[1:]] = np.diff(item[order]) == 0
    _refuse(table, "item_id", item, again, "which is there twice; leave one")

    def described(types: ColumnTypes) -> dict[str, Column]:
        return {name: features(table, ColumnConfig(column=name), types, kinds.get(name)) for name in names}

    columns = settled(described)
    return Catalogue({"item_id": item[order], **{name: take_column(column, order) for name, column in columns.items()}})


def _refuse(table: Table, name: str, values: np.ndarray, bad: np.ndarray, rule: str) -> None:
    if bad.any():
        raise table.bad_rows(name, np.flatnonzero(bad), lambda row: f"holds {values[row]} in {{place}}, {rule}")


def _user_ids(described: list[np.ndarray]) -> np.ndarray:
    """A number of 63 bits for each combination of texts, [n]: the same in every file."""
    known: dict[tuple[str, ...], int] = {}
    found = np.empty(len(described[0]), dtype=np.int64)
    for row, combination in enumerate(zip(*(column.tolist() for column in described), strict=True)):
        if combination not in known:
            digest = hashlib.blake2b("\0".join(combination).encode(), digest_size=8).digest()
            known[combination] = int.from_bytes(digest, "little") >> 1
        found[row] = known[combination]
    return found
