"""A data set that is not what it was is told by its content."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from simulator.datasets.fingerprint import fingerprints, require_same
from simulator.datasets.read import open_source
from simulator.errors import DataError
from tests.simulator.datasets.logged import parsed

CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "longer": (lambda path: path.write_text("one, two"), r"x.csv: has changed since the run began \(3 bytes → 8 bytes"),
    "as long": (lambda path: path.write_text("two"), "x.csv: has changed since the run began"),
    "gone": (lambda path: path.unlink(), "no such file"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_file_that_has_changed_is_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text("one")
    began, times = fingerprints(str(path), [path]), path.stat()
    require_same(str(path), [path], began)
    change, message = CHANGES[name]
    change(path)
    if path.exists():
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # its clock need not tell
    with pytest.raises(DataError, match=message):
        require_same(str(path), [path], began)


def test_of_a_folder_the_files_that_are_read_count(tmp_path: Path) -> None:
    parts = tmp_path / "parts"
    parts.mkdir()
    pq.write_table(pa.table({"a": [1]}), parts / "0.parquet")
    write = {"format": "parquet", "path": str(parts), "label": {"column": "a"}}
    began = fingerprints(str(parts), open_source(parsed(write)).files)
    require_same(str(parts), open_source(parsed(write)).files, began)
    pq.write_table(pa.table({"a": [1]}), parts / "1.parquet")
    with pytest.raises(DataError, match=r"1.parquet: is new since the run began \(none → "):
        require_same(str(parts), open_source(parsed(write)).files, began)


def test_films_count_beside_ratings_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,1,5,900000000\n")
    (tmp_path / "movies.csv").write_text("movieId,title,genres\n1,One (1990),Drama\n")
    source = open_source(parsed({"format": "movielens", "path": str(tmp_path)}))
    began = fingerprints(str(tmp_path), source.files)
    (tmp_path / "README.txt").write_text("y")
    require_same(str(tmp_path), source.files, began)
    (tmp_path / "movies.csv").write_text("y")
    with pytest.raises(DataError, match=r"movies.csv: has changed"):
        require_same(str(tmp_path), source.files, began)
