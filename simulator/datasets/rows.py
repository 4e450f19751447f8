"""What a data set looks like once it is read: rows as columns."""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from reloop_stream.events import Batch, Column
from reloop_stream.runtime.places import NoHome, user_cache
from simulator.errors import DataError

__all__ = ["ROW_MS", "ReplayRows", "cache_folder", "find", "in_archive"]

ROW_MS = 1000  # rows without a time are a second apart


@dataclass(frozen=True, slots=True)
class ReplayRows(Batch):
    """Events of a data set; every array is [n]."""

    time_ms: np.ndarray  # int64
    user_id: np.ndarray  # int64 or text
    item_id: np.ndarray  # int64 or text
    label: np.ndarray  # uint8
    features: Mapping[str, Column]
    # int64, the same for the rows of one logged slate, which have one user and one time, and int32 from 0, the top; None where
    # each row was logged by itself.
    request_id: np.ndarray | None = None
    position: np.ndarray | None = None
    propensity: np.ndarray | None = None  # float64 in (0, 1], of the policy that logged; None where it is not known
    weight: np.ndarray | None = None  # float64 above 0; None where every row counts once
    # Features of a row and each item of the catalogue, float64 [n, items].
    pairs: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.label)


def cache_folder() -> Path:
    """Where fetched data sets lie. Raises NoHome."""
    return user_cache() / "data"


def find(path: str) -> Path:
    """The path, from the working folder or from the cache. Raises DataError that says how to get the data."""
    places: list[Callable[[], Path]] = [Path(path).expanduser, lambda: cache_folder() / path]
    for place in places:
        with contextlib.suppress(NoHome, RuntimeError):  # a user without a home folder, or `~nobody/data`
            if (candidate := place()).exists() or in_archive(candidate):
                return candidate
    raise DataError(
        f"data.path: {path}: no such file or folder; `python -m simulator data fetch movielens-small` downloads "
        "MovieLens, `--set data.path=FILE` names a file of your own"
    )


def in_archive(path: Path) -> tuple[Path, str] | None:
    """The zip that a path leads into, and the name that its file has there; None for any other path."""
    for parent in path.parents:
        if parent.is_file() and zipfile.is_zipfile(parent):
            return parent, path.relative_to(parent).as_posix()
    return None
