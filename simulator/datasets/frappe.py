"""Frappe and MovieLens tags as the paper's authors publish them: a label and named fields, in libfm or CSV.

Baltrunas et al. 2015 (Frappe); He and Chua 2017, who sampled two negatives to each positive, and published the files.
"""

from __future__ import annotations

from pathlib import Path

from simulator.datasets.config import ColumnConfig, FrappeConfig, LabelConfig, MovieLensTagConfig, TableConfig
from simulator.datasets.csv_file import CsvFile
from simulator.datasets.libfm import LABEL, LibfmFields
from simulator.datasets.rows import find
from simulator.datasets.source import Source
from simulator.datasets.tables import TableSource, csv_tables
from simulator.datasets.text_file import TextFile, first_line, text_file
from simulator.errors import DataError

__all__ = ["FEATURES", "fields_source", "parts_of"]

# In the order in which a line of libfm has them. The second name is what other publications call the column.
FIELDS = {
    "frappe": {
        "user": "user_id",
        "item": "item_id",
        "daytime": "daytime",
        "weekday": "weekday",
        "isweekend": "isweekend",
        "homework": "homework",
        "cost": "cost",
        "weather": "weather",
        "country": "country",
        "city": "city",
    },
    "movielens_tag": {"user": "user_id", "item": "item_id", "tag": "tag_id"},
}
WHAT = {"frappe": "a file of Frappe, in libfm or CSV", "movielens_tag": "a file of MovieLens tags, in libfm or CSV"}
# What a model sees: the ids under the names that they have everywhere.
FEATURES = {name: ["user_id", "item_id", *[*fields][2:]] for name, fields in FIELDS.items()}
PARTS = {"train": ("train",), "validation": ("validation", "valid"), "test": ("test",)}


def parts_of(path: Path) -> dict[str, Path]:
    """The files of train, validation and test in a folder, by these names. Raises DataError where one is missing, or two are there."""
    found: dict[str, Path] = {}
    for part, words in PARTS.items():
        here = [file for file in sorted(path.iterdir()) if file.is_file() and _words(file) & {*words}]
        if len(here) != 1:
            said = "has no file" if not here else f"has {', '.join(file.name for file in here)}"
            raise DataError(f"{path}: {said} for {part}; it must have one, named such as {part}.csv or x.{part}.libfm")
        found[part] = here[0]
    return found


def _words(file: Path) -> set[str]:
    return {*file.name.lower().replace("_", ".").replace("-", ".").split(".")}


def fields_source(config: FrappeConfig | MovieLensTagConfig) -> Source:
    """A file, or the three of a folder one after the other. Features: its fields, with user_id and item_id. Raises DataError."""
    path = find(config.path)
    paths = list(parts_of(path).values()) if path.is_dir() else [path]
    files = [text_file(one) for one in paths]
    fields, features = FIELDS[config.format], FEATURES[config.format]
    if all(_is_libfm(file) for file in files):
        return LibfmFields(files, features, 0, 1, 1.0, "the label")
    tables = [CsvFile(file, "\t" if "\t" in first_line(file) else ",", what=WHAT[config.format]) for file in files]
    header = tables[0].header
    columns = [other if other in header else name for name, other in fields.items()]
    user, item, *rest = [
        ColumnConfig(column=column, name=feature, type=None) for column, feature in zip(columns, features, strict=True)
    ]
    if "label" not in header:
        raise DataError(
            f"{tables[0].name}: has no column 'label'; it has {', '.join(header[:12])}: the file without labels holds positives "
            "alone; the one with sampled negatives is needed"
        )
    table = TableConfig(
        **config.model_dump(exclude={"format"}),
        user=user,
        item=item,
        label=LabelConfig(column="label", at_least=1.0),
        columns=rest,
    )
    return TableSource(table, [file.path for file in files], csv_tables(tables), dict.fromkeys(features, "category"))


def _is_libfm(file: TextFile) -> bool:
    label, *cells = first_line(file).split()
    return bool(LABEL.fullmatch(label)) and bool(cells) and all(":" in cell for cell in cells)
