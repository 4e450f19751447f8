"""MovieLens: ratings as exposures, a high one as a click (Harper and Konstan 2015)."""

from __future__ import annotations

import tempfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute

from reloop_stream.events import ListColumn
from simulator.datasets.config import MovieLensConfig
from simulator.datasets.rows import ReplayRows, find, in_time_order
from simulator.datasets.tables import read_csv
from simulator.errors import DataError

__all__ = ["read_movielens"]

SUFFIXES = ("", ".xz", ".gz", ".bz2")
UNKNOWN = 0


def read_movielens(config: MovieLensConfig) -> ReplayRows:
    """All ratings in the order of time.

    Features: user_id, item_id, genres (list), year (of release, 0 unknown), user_count and item_count: how often the
    user rated and the item was rated before, as bands of powers of two. Raises DataError.
    """
    path = find(config.path)
    if path.is_file() and zipfile.is_zipfile(path):
        with tempfile.TemporaryDirectory() as folder:
            _unpack(path, Path(folder))
            return _read(Path(folder), path, config.positive)
    return _read(path if path.is_dir() else path.parent, path, config.positive)


def _unpack(path: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                name = Path(member).name
                if name in ("ratings.csv", "movies.csv"):  # by name alone: a path in an archive is not to be trusted
                    (folder / name).write_bytes(archive.read(member))
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise DataError(f"{path}: is a damaged zip ({error}); fetch it again") from None


def _file(folder: Path, source: Path, name: str) -> Path:
    for suffix in SUFFIXES:
        if (folder / f"{name}{suffix}").exists():
            return folder / f"{name}{suffix}"
    raise DataError(f"{source}: has no {name}; is it a MovieLens folder or zip?")


def _column(table: pa.Table, path: Path, *names: str) -> pa.ChunkedArray:
    for name in names:
        if name in table.column_names:
            return table[name]
    raise DataError(f"{path}: has no column {names[0]!r}; it has {', '.join(table.column_names)}")


def _read(folder: Path, source: Path, positive: float) -> ReplayRows:
    ratings_path, movies_path = _file(folder, source, "ratings.csv"), _file(folder, source, "movies.csv")
    ratings, movies = read_csv(ratings_path), read_csv(movies_path)
    try:
        user = _column(ratings, ratings_path, "userId", "user_id").cast(pa.int64()).to_numpy()
        item = _column(ratings, ratings_path, "movieId", "item_id").cast(pa.int64()).to_numpy()
        rating = _column(ratings, ratings_path, "rating").cast(pa.float64()).to_numpy()
        seconds = _column(ratings, ratings_path, "timestamp").cast(pa.int64()).to_numpy()
        movie = _column(movies, movies_path, "movieId", "item_id").cast(pa.int64()).to_numpy()
    except pa.ArrowException as error:
        raise DataError(f"{ratings_path}: {error}") from None
    titles = _column(movies, movies_path, "title")
    years = pa.compute.extract_regex(titles, r".*\((?P<year>\d{4})\)\s*$")
    year = np.array([UNKNOWN if found is None else int(found["year"]) for found in years.to_pylist()], dtype=np.int64)
    genres = [text.split("|") for text in _column(movies, movies_path, "genres").to_pylist()]
    order = np.argsort(movie)
    spot = np.minimum(np.searchsorted(movie, item, sorter=order), max(len(movie) - 1, 0))
    row = order[spot] if len(movie) else np.zeros(0, dtype=np.int64)
    known = movie[row] == item
    lists = [genres[r] if k else [] for r, k in zip(row.tolist(), known.tolist(), strict=True)]
    offsets = np.concatenate(([0], np.cumsum([len(one) for one in lists]))).astype(np.int64)
    features = {
        "user_id": user,
        "item_id": item,
        "genres": ListColumn(np.array([g for one in lists for g in one], dtype=object), offsets),
        "year": np.where(known, year[row], UNKNOWN),
    }
    rows = in_time_order(ReplayRows(seconds * 1000, user, item, (rating >= positive).astype(np.uint8), features))
    counts = {"user_count": _count_band(rows.user_id), "item_count": _count_band(rows.item_id)}
    return ReplayRows(rows.time_ms, rows.user_id, rows.item_id, rows.label, {**rows.features, **counts})


def _count_band(ids: np.ndarray) -> np.ndarray:
    """How often each id came before, as floor(log2(1 + count)): from the past alone."""
    order = np.argsort(ids, kind="stable")
    ordered = ids[order]
    first = np.concatenate(([True], ordered[1:] != ordered[:-1])) if len(ids) else np.zeros(0, dtype=bool)
    starts = np.flatnonzero(first)
    within = np.arange(len(ids)) - np.repeat(starts, np.diff(np.concatenate((starts, [len(ids)]))))
    counts = np.empty(len(ids), dtype=np.int64)
    counts[order] = within
    return np.floor(np.log2(1 + counts)).astype(np.int64)
