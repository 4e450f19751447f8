"""Criteo's display advertising challenge: a label, 13 counts and 26 hashed categories, tab by tab, in the order of time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from simulator.datasets.config import ColumnConfig, CriteoConfig, LabelConfig, TableConfig
from simulator.datasets.csv_file import CsvFile
from simulator.datasets.rows import find
from simulator.datasets.tables import TableSource, csv_tables
from simulator.datasets.text_file import text_file
from simulator.errors import DataError

__all__ = ["CATEGORIES", "COUNTS", "criteo_source"]

COUNTS = [f"I{i}" for i in range(1, 14)]
CATEGORIES = [f"C{i}" for i in range(1, 27)]
NAMES = ["label", *COUNTS, *CATEGORIES]
# What an empty count is read as: below every count that is published, where the least is -3.
NO_COUNT = -10
WHAT = "Criteo's train.txt"


def criteo_source(config: CriteoConfig, kinds: Mapping[str, str]) -> TableSource:
    """train.txt (of the challenge), or the parts of a folder in the order of their numbers (day_0, day_1, …).

    Neither user nor item is published: both ids are 0. Features: I1 to I13, integers, empty ones -10. C1 to C26, texts, empty ones "". Raises DataError.
    """
    path = find(config.path)
    parts = sorted((file for file in path.iterdir() if file.is_file()), key=_number) if path.is_dir() else [path]
    if not parts:
        raise DataError(f"{path}: is an empty folder; it must hold train.txt, or day_0, day_1, …")
    files = [CsvFile(text_file(part), "\t", names=NAMES, quotes=False, what=WHAT) for part in parts]
    columns = [ColumnConfig(column=name, type="integer", missing=NO_COUNT) for name in COUNTS]
    columns += [ColumnConfig(column=name, type="text", missing="") for name in CATEGORIES]
    table = TableConfig(**config.model_dump(exclude={"format"}), label=LabelConfig(column="label"), columns=columns)
    return TableSource(table, [file.path for file in files], csv_tables(files), kinds)


def _number(path: Path) -> tuple[int, str]:
    digits = "".join(filter(str.isdigit, path.stem))
    return int(digits or 0), path.name
