"""MovieLens: ratings as exposures, a high one as a click (Harper and Konstan 2015)."""

from __future__ import annotations

import re
import zipfile
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np

from reloop_stream.events import Column, ListColumn
from simulator.datasets.cells import integers, numbers, texts
from simulator.datasets.config import MovieLensConfig
from simulator.datasets.csv_file import CsvFile
from simulator.datasets.rows import ReplayRows, find, in_time_order
from simulator.datasets.text_file import TextFile, text_file
from simulator.datasets.times import times_ms
from simulator.errors import DataError

__all__ = ["movielens_files", "read_movielens"]

SUFFIXES = ("", ".xz", ".gz", ".bz2")
FIRST_YEAR = 1995  # of the first rating
UNKNOWN = 0
YEAR = re.compile(r"\((\d{4})\)\s*$")


def read_movielens(config: MovieLensConfig) -> ReplayRows:
    """All ratings in the order of time.

    Features: user_id, item_id, genres (list), year (of release, 0 unknown), user_count and item_count: how often the
    user rated and the item was rated before, as bands of powers of two. Of a film that is there twice the first counts.
    Raises DataError naming file and line.
    """
    files = movielens_files(find(config.path))
    if len(files) == 1:
        return _read(_member(files[0], "ratings.csv"), _member(files[0], "movies.csv"), config.positive)
    return _read(text_file(files[0]), text_file(files[1]), config.positive)


def movielens_files(path: Path) -> list[Path]:
    """A zip, or ratings and films of a folder; the path may be that of the ratings in it. Raises DataError."""
    if path.is_file() and zipfile.is_zipfile(path):
        return [path]
    if path.is_file() and not path.name.startswith("ratings.csv"):
        raise DataError(f"{path}: is no zip; name a MovieLens folder, its ratings.csv, or a zip of them")
    folder = path if path.is_dir() else path.parent
    return [_file(folder, path, "ratings.csv"), _file(folder, path, "movies.csv")]


def _file(folder: Path, source: Path, name: str) -> Path:
    for suffix in SUFFIXES:
        if (folder / f"{name}{suffix}").exists():
            return folder / f"{name}{suffix}"
    raise DataError(f"{source}: has no {name}; is it a MovieLens folder or zip?")


def _member(path: Path, name: str) -> TextFile:
    try:
        with zipfile.ZipFile(path) as archive:
            found = [member for member in archive.namelist() if Path(member).name == name]
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(f"{path}: is a damaged zip ({error}); fetch it again") from None
    if not found:
        raise DataError(f"{path}: has no {name}; is it a MovieLens folder or zip?")
    if len(found) > 1:
        raise DataError(f"{path}: has {' and '.join(found)}; make a zip of one data set alone")
    return TextFile(f"{path}: {name}", partial(_open_member, path, found[0]))


def _open_member(path: Path, member: str) -> IO[bytes]:
    return zipfile.ZipFile(path).open(member)


def _read(ratings_file: TextFile, movies_file: TextFile, positive: float) -> ReplayRows:
    ratings, movies = CsvFile(ratings_file), CsvFile(movies_file)
    user_name, item_name = _name(ratings, "userId", "user_id"), _name(ratings, "movieId", "item_id")
    rated = ratings.read([user_name, item_name, "rating", "timestamp"])
    user, item = integers(rated, user_name), integers(rated, item_name)
    rating = numbers(rated, "rating", "a rating is a number")
    time_ms, doubt = times_ms(rated, "timestamp", "s", first_year=FIRST_YEAR)
    movie, year, genres, warnings = _films(movies)
    order = np.argsort(movie, kind="stable")  # of equal ones the first stays first
    row = order[np.minimum(np.searchsorted(movie, item, sorter=order), len(movie) - 1)]
    known = movie[row] == item
    lists = [genres[r] if k else [] for r, k in zip(row.tolist(), known.tolist(), strict=True)]
    offsets = np.concatenate(([0], np.cumsum([len(one) for one in lists]))).astype(np.int64)
    features: dict[str, Column] = {
        "user_id": user,
        "item_id": item,
        "genres": ListColumn(np.array([g for one in lists for g in one], dtype=object), offsets),
        "year": np.where(known, year[row], UNKNOWN),
    }
    label = (rating >= positive).astype(np.uint8)
    rows = in_time_order(ReplayRows(time_ms, user, item, label, features, doubt, warnings))
    counts = {"user_count": _count_band(rows.user_id), "item_count": _count_band(rows.item_id)}
    columns = (rows.time_ms, rows.user_id, rows.item_id, rows.label, {**rows.features, **counts})
    return ReplayRows(*columns, doubt=doubt, warnings=warnings)


def _name(file: CsvFile, *names: str) -> str:
    return next((name for name in names if name in file.header), names[0])


def _films(file: CsvFile) -> tuple[np.ndarray, np.ndarray, list[list[str]], tuple[str, ...]]:
    """Each line's film, its year and genres, and a warning where films are there twice, not the same."""
    id_name = _name(file, "movieId", "item_id")
    table = file.read([id_name, "title", "genres"])
    movie, titles, genres = integers(table, id_name), texts(table, "title").tolist(), texts(table, "genres").tolist()
    found = [YEAR.search(title) for title in titles]
    year = np.array([UNKNOWN if match is None else int(match[1]) for match in found], dtype=np.int64)
    first: dict[int, int] = {}
    odd = [
        row
        for row, film in enumerate(movie.tolist())
        if (at := first.setdefault(film, row)) != row and (year[at], genres[at]) != (year[row], genres[row])
    ]
    warnings: tuple[str, ...] = ()
    if odd:
        film, more = int(movie[odd[0]]), f", and {len(odd) - 1} more such lines" if len(odd) > 1 else ""
        warnings = (
            f"{table.name}: {id_name} {film} is there twice with other genres or another year, in "
            f"{table.place(first[film])} and {table.place(odd[0])}{more}; the first counts",
        )
    return movie, year, [text.split("|") if text else [] for text in genres], warnings


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
