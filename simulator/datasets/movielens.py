"""MovieLens: ratings as exposures, a high one as a click (Harper and Konstan 2015)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import NamedTuple

import numpy as np

from reloop_stream.events import Column, ListColumn, take_column
from simulator.datasets.cells import integers, numbers, texts
from simulator.datasets.config import MovieLensConfig
from simulator.datasets.csv_file import CsvFile
from simulator.datasets.rejects import Rejects
from simulator.datasets.rows import ReplayRows, find
from simulator.datasets.source import Source
from simulator.datasets.table import Table, converted
from simulator.datasets.text_file import TextFile, member, members, text_file
from simulator.datasets.times import Clock
from simulator.errors import DataError

__all__ = ["FIRST_YEAR", "MovieLensSource", "column_of", "movielens_table"]

SUFFIXES = ("", ".xz", ".gz", ".bz2", ".zst")
FIRST_YEAR = 1995  # of the first rating
UNKNOWN = 0
YEAR = re.compile(r"\((\d{4})\)\s*$")
RATINGS = ["userId", "movieId", "rating", "timestamp"]
GENRES = [
    "unknown",
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
]  # of the 100k release, a column each


class _Release(NamedTuple):
    """How a release writes its two files. names: of columns without a header."""

    ratings: str
    movies: str
    separator: str
    ratings_names: list[str] | None
    movies_names: list[str] | None
    movies_separator: str
    encoding: str


RELEASES = (
    _Release("ratings.csv", "movies.csv", ",", None, None, ",", "utf-8"),  # 25M, 20M, small
    _Release("ratings.dat", "movies.dat", "::", RATINGS, ["movieId", "title", "genres"], "::", "latin-1"),  # 10M, 1M
    _Release(
        "u.data", "u.item", "\t", RATINGS, ["movieId", "title", "released", "video", "url", *GENRES], "|", "latin-1"
    ),  # 100k
)


class MovieLensSource(Source):
    """All ratings.

    Features: user_id, item_id, user_count and item_count: how often the user rated and the item was rated before, as
    bands of powers of two. Where the films are there: genres (list), year (of release, 0 unknown). Of a film that is there
    twice the first counts. Raises DataError naming file and line.
    """

    def __init__(self, config: MovieLensConfig) -> None:
        release, ratings, movies = _files(find(config.path))
        files = dict.fromkeys(one.path for one in (ratings, movies) if one is not None)
        super().__init__([*files], f"data.positive: {config.positive:g}", "the ratings' timestamps")
        self._positive = config.positive
        self._ratings = CsvFile(
            ratings,
            release.separator,
            names=release.ratings_names,
            quotes=release.ratings_names is None,
            what=f"MovieLens's {release.ratings}",
        )
        self._films = None
        if movies is not None:
            file = CsvFile(
                movies,
                release.movies_separator,
                names=release.movies_names,
                quotes=release.movies_names is None,
                what=f"MovieLens's {release.movies}",
            )
            self._films = _Films.read(file)
        self._clock = Clock("timestamp", first_year=FIRST_YEAR)

    def blocks(self, rejects: Rejects) -> Iterator[ReplayRows]:
        self._clock = Clock("timestamp", first_year=FIRST_YEAR)
        user, item = column_of(self._ratings, "userId", "user_id"), column_of(self._ratings, "movieId", "item_id")
        tables = self._ratings.tables([user, item, "rating", "timestamp"], rejects)
        yield from converted(tables, rejects, lambda table: self._rows(table, user, item))

    def _rows(self, table: Table, user_name: str, item_name: str) -> ReplayRows:
        user, item = integers(table, user_name), integers(table, item_name)
        rating = numbers(table, "rating", "a rating is a number")
        features: dict[str, Column] = {"user_id": user, "item_id": item}
        if self._films is not None:
            features |= self._films.of(item)
        label = (rating >= self._positive).astype(np.uint8)
        return ReplayRows(self._clock.times_ms(table), user, item, label, features)

    def derived(self, blocks: Iterator[ReplayRows]) -> Iterator[ReplayRows]:
        users, items = _Counts(), _Counts()
        for rows in blocks:
            counts = {"user_count": users.bands(rows.user_id), "item_count": items.bands(rows.item_id)}
            yield replace(rows, features={**rows.features, **counts})

    @property
    def doubt(self) -> str:
        return self._clock.doubt

    @property
    def warnings(self) -> list[str]:
        return [] if self._films is None else self._films.warnings


def movielens_table(path: Path, name: str) -> CsvFile:
    """A CSV file of a folder or zip, or the path itself. Raises DataError."""
    if path.is_dir():
        found = _one(path, sorted(file.name for file in path.iterdir() if file.is_file()), name)
        file = None if found is None else text_file(path / found)
    elif path.name.endswith(".zip"):
        found = _one(path, members(path), name)
        file = None if found is None else member(path, found)
    else:
        file = text_file(path) if _is(path.name, name) else None
    if file is None:
        raise DataError(f"{path}: has no {name}; name a MovieLens folder, a zip of it, or the file")
    return CsvFile(file)


def _files(path: Path) -> tuple[_Release, TextFile, TextFile | None]:
    """The ratings of a folder, of a zip, or the path itself, and the films beside them, where they are there."""
    if path.is_dir():
        names = sorted(file.name for file in path.iterdir() if file.is_file())
        open_one: Callable[[str, str], TextFile] = lambda name, encoding: text_file(path / name, encoding)  # noqa: E731
    elif path.suffix == ".zip" or path.name.endswith(".zip"):
        names = members(path)
        open_one = lambda name, encoding: member(path, name, encoding)  # noqa: E731
    else:
        release = next((one for one in RELEASES if _is(path.name, one.ratings)), None)
        if release is None:
            known = ", ".join(one.ratings for one in RELEASES)
            raise DataError(
                f"{path}: is no MovieLens file of ratings ({known}); name a folder, a zip of it, or the file"
            )
        beside = [file.name for file in sorted(path.parent.iterdir()) if _is(file.name, release.movies)]
        movies = text_file(path.parent / beside[0], release.encoding) if beside else None
        return release, text_file(path, release.encoding), movies
    for release in RELEASES:
        if ratings := _one(path, names, release.ratings):
            movie_file = _one(path, names, release.movies)
            return (
                release,
                open_one(ratings, release.encoding),
                open_one(movie_file, release.encoding) if movie_file else None,
            )
    raise DataError(f"{path}: has no {', '.join(one.ratings for one in RELEASES)}; is it a MovieLens folder or zip?")


def _is(name: str, wanted: str) -> bool:
    return any(name == wanted + suffix for suffix in SUFFIXES)


def _one(path: Path, names: Sequence[str], wanted: str) -> str | None:
    found = [name for name in names if _is(PurePath(name).name, wanted)]
    if len(found) > 1:
        raise DataError(f"{path}: has {' and '.join(found)}; leave one of them")
    return found[0] if found else None


def column_of(file: CsvFile, *names: str) -> str:
    """The first of these names that the header has; the first of all where it has none, for the error."""
    return next((name for name in names if name in file.header), names[0])


@dataclass(frozen=True)
class _Films:
    """What is known of the films, the last of each array being for those that are not listed."""

    film: np.ndarray  # sorted
    year: np.ndarray
    genres: ListColumn
    warnings: list[str]

    @classmethod
    def read(cls, file: CsvFile) -> _Films:
        id_name = column_of(file, "movieId", "item_id")
        flags = [name for name in GENRES if name in file.header]
        table = file.read([id_name, "title", *(flags or ["genres"])])
        film, titles = integers(table, id_name), texts(table, "title").tolist()
        if flags:
            set_flags = np.stack([integers(table, name) for name in flags], axis=1).astype(bool)
            genres = [[name for name, is_set in zip(flags, row) if is_set] for row in set_flags.tolist()]
        else:
            genres = [text.split("|") if text else [] for text in texts(table, "genres").tolist()]
        found = [YEAR.search(title) for title in titles]
        year = np.array([UNKNOWN if match is None else int(match[1]) for match in found], dtype=np.int64)
        order = np.argsort(film, kind="stable")  # of equal ones the first stays first
        in_order = [genres[row] for row in order.tolist()] + [[]]
        offsets = np.concatenate(([0], np.cumsum([len(one) for one in in_order]))).astype(np.int64)
        values = np.array([genre for one in in_order for genre in one], dtype=object)
        warnings = _twice(table, id_name, film, year, genres)
        return cls(film[order], np.append(year[order], UNKNOWN), ListColumn(values, offsets), warnings)

    def of(self, item: np.ndarray) -> Mapping[str, Column]:
        row = np.minimum(np.searchsorted(self.film, item), len(self.film) - 1)
        row = np.where(self.film[row] == item, row, len(self.film))
        return {"genres": take_column(self.genres, row), "year": self.year[row]}


def _twice(table: Table, id_name: str, film: np.ndarray, year: np.ndarray, genres: list[list[str]]) -> list[str]:
    """A warning where films are there twice, not the same."""
    first: dict[int, int] = {}
    odd = [
        row
        for row, one in enumerate(film.tolist())
        if (at := first.setdefault(one, row)) != row and (year[at], genres[at]) != (year[row], genres[row])
    ]
    if not odd:
        return []
    named, more = int(film[odd[0]]), f", and {len(odd) - 1} more such lines" if len(odd) > 1 else ""
    return [
        f"{table.name}: {id_name} {named} is there twice with other genres or another year, in {table.place(first[named])} "
        f"and {table.place(odd[0])}{more}; the first counts"
    ]


class _Counts:
    """How often each id came before, row by row."""

    def __init__(self) -> None:
        self._seen: dict[int, int] = {}

    def bands(self, ids: np.ndarray) -> np.ndarray:
        """floor(log2(1 + count)), int64 [n]: from the past alone."""
        order = np.argsort(ids, kind="stable")
        ordered = ids[order]
        starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
        lengths = np.diff(np.append(starts, len(ids)))
        different = ordered[starts].tolist()
        before = np.array([self._seen.get(one, 0) for one in different], dtype=np.int64)
        counts = np.empty(len(ids), dtype=np.int64)
        counts[order] = np.repeat(before - starts, lengths) + np.arange(len(ids))
        self._seen.update(zip(different, (before + lengths).tolist()))
        return np.floor(np.log2(1 + counts)).astype(np.int64)
