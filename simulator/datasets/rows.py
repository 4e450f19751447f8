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
    warnings: what else is likely to mislead. request_id: int64, the same for the rows of one logged slate; position: int32,
    0 is the top; both None where each row was logged by itself. propensity: float64 in (0, 1], of the policy that logged;
    None where it is not known. weight: float64 above 0; None where every row counts once.
    """

    time_ms: np.ndarray
    user_id: np.ndarray
    item_id: np.ndarray
    label: np.ndarray
    features: Mapping[str, Column]
    doubt: str = ""
    warnings: tuple[str, ...] = ()
    request_id: np.ndarray | None = None
    position: np.ndarray | None = None
    propensity: np.ndarray | None = None
    weight: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.label)

    def take(self, rows: np.ndarray) -> ReplayRows:
        """The rows at these indices, [n]."""

        def at(column: np.ndarray | None) -> np.ndarray | None:
            return None if column is None else column[rows]

        return ReplayRows(
            self.time_ms[rows],
            self.user_id[rows],
            self.item_id[rows],
            self.label[rows],
            {name: take_column(column, rows) for name, column in self.features.items()},
            self.doubt,
            self.warnings,
            at(self.request_id),
            at(self.position),
            at(self.propensity),
            at(self.weight),
        )


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
