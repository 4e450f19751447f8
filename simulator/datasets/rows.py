"""What a data set looks like once it is read: rows in the order of time, as columns."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reloop_stream.events import Column, take_column
from reloop_stream.runtime.places import NoHome, user_cache
from simulator.errors import DataError

__all__ = ["ROW_MS", "ReplayRows", "cache_folder", "find", "in_time_order"]

ROW_MS = 1000  # rows without a time are a second apart


@dataclass(frozen=True, slots=True)
class ReplayRows:
    """Events of a data set; every array is [n].

    time_ms: int64. user_id, item_id: int64 or text. label: uint8. doubt: what makes the times look wrong, or "".
    warnings: what else is likely to mislead.
    """

    time_ms: np.ndarray
    user_id: np.ndarray
    item_id: np.ndarray
    label: np.ndarray
    features: Mapping[str, Column]
    doubt: str = ""
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.label)

    def take(self, rows: np.ndarray) -> ReplayRows:
        features = {name: take_column(column, rows) for name, column in self.features.items()}
        columns = (self.time_ms[rows], self.user_id[rows], self.item_id[rows], self.label[rows], features)
        return ReplayRows(*columns, self.doubt, self.warnings)


def in_time_order(rows: ReplayRows) -> ReplayRows:
    """Sorted by time; events of one time by user and item, so that the order of the file plays no part in it."""
    order = np.lexsort((rows.item_id, rows.user_id, rows.time_ms))
    return rows if (np.diff(order) == 1).all() else rows.take(order)


def cache_folder() -> Path:
    """Where fetched data sets lie. Raises NoHome."""
    return user_cache() / "data"


def find(path: str) -> Path:
    """The path, from the working folder or from the cache. Raises DataError that says how to get the data."""
    places: list[Callable[[], Path]] = [Path(path).expanduser, lambda: cache_folder() / path]
    for place in places:
        with contextlib.suppress(NoHome, RuntimeError):  # a user without a home folder, or `~nobody/data`
            if (candidate := place()).exists():
                return candidate
    raise DataError(
        f"data.path: {path}: no such file or folder; `python -m simulator data fetch movielens-small` downloads "
        "MovieLens, `--set data.path=FILE` names a file of your own"
    )
