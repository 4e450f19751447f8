"""A data set that is not what it was is told by its content."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from simulator.datasets.config import CsvConfig, LabelConfig, MovieLensConfig, ParquetConfig
from simulator.datasets.fingerprint import fingerprints, require_same
from simulator.errors import DataError


def table(kind: type[CsvConfig] | type[ParquetConfig], path: Path) -> CsvConfig | ParquetConfig:
    return kind.model_validate(
        {
            "format": "csv" if kind is CsvConfig else "parquet",
            "path": str(path),
            "user": "a",
            "item": "b",
            "label": LabelConfig(column="c"),
        }
    )


CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "longer": (lambda path: path.write_text("one, two"), r"x.csv: has changed since the run began \(3 bytes → 8 bytes"),
    "as long": (lambda path: path.write_text("two"), "x.csv: has changed since the run began"),
    "gone": (lambda path: path.unlink(), "no such file"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_file_that_has_changed_is_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text("one")
    config = table(CsvConfig, path)
    began, times = fingerprints(config), path.stat()
    require_same(config, began)
    change, message = CHANGES[name]
    change(path)
    if path.exists():
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # its clock need not tell
    with pytest.raises(DataError, match=message):
        require_same(config, began)


def test_of_a_folder_the_files_that_are_read_count(tmp_path: Path) -> None:
    parts, films = tmp_path / "parts", tmp_path / "films"
    for file in (parts / "0.parquet", films / "ratings.csv", films / "movies.csv"):
        file.parent.mkdir(exist_ok=True)
        file.write_text("x")
    parquet, movielens = table(ParquetConfig, parts), MovieLensConfig(format="movielens", path=str(films))
    began, began_films = fingerprints(parquet), fingerprints(movielens)
    (parts / "1.parquet").write_text("y")
    (films / "README.txt").write_text("y")
    require_same(movielens, began_films)
    with pytest.raises(DataError, match=r"1.parquet: is new since the run began \(none → 1 bytes"):
        require_same(parquet, began)
    (films / "movies.csv").write_text("y")
    with pytest.raises(DataError, match=r"movies.csv: has changed"):
        require_same(movielens, began_films)
