"""Which format a file or folder is of, and how its text is written, told by its names and first lines."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from simulator.datasets.frappe import FIELDS, parts_of
from simulator.datasets.libfm import NUMBER as LIBFM_NUMBER
from simulator.datasets.rows import find
from simulator.datasets.text_file import NotUtf8, blocks, first_lines, members, text_file
from simulator.datasets.words import NUMBER
from simulator.errors import DataError

__all__ = ["Recognised", "recognise"]

LINES = 200
SEPARATORS = ",\t;|"
LIBFM = re.compile(rf"{LIBFM_NUMBER}(?:\s+[0-9]+:{LIBFM_NUMBER})+\s*(?:#.*)?")
LIBFFM = re.compile(rf"{LIBFM_NUMBER}(?:\s+[0-9]+:[0-9]+:{LIBFM_NUMBER})+\s*(?:#.*)?")
CRITEO = re.compile(r"[01](?:\t-?[0-9]*){13}(?:\t(?:[0-9a-f]{8})?){26}")
MIND = re.compile(r"[0-9]+\t\S+\t[0-9/]+ [0-9:]+ [AP]M\t[^\t]*\t\s*N[0-9]+(?:-[01])?(?:\s+N[0-9]+(?:-[01])?)*\s*")
FIELD_OF_LIBFFM = re.compile(rb"(?:^|[ \t])([0-9]{1,4}):[0-9]+:", re.MULTILINE)
ITEMS = "item_context.csv"
# Sets of columns that only one publication has.
HEADERS = {
    "avazu": {"id", "click", "hour", "banner_pos", "device_ip"},
    "trivago": {"session_id", "action_type", "reference", "impressions", "prices"},
    "kuairand": {"user_id", "video_id", "time_ms", "is_click", "long_view"},
    "open_bandit": {"timestamp", "item_id", "position", "click", "propensity_score"},
}
RATINGS = re.compile(r"(?:ratings\.csv|ratings\.dat|u\.data)(?:\.\w+)?$")


class Recognised(NamedTuple):
    """A section `data` of a scenario; of a table without its columns. said: what was guessed, in words."""

    data: dict[str, Any]
    said: list[str]

    @property
    def is_table(self) -> bool:
        return self.data["format"] in ("csv", "tsv", "parquet")


def recognise(path: str) -> Recognised:
    """The format of what lies at a path. Raises DataError where it is none that can be read."""
    place = find(path)
    found = _folder(place) if place.is_dir() else _file(place)
    return Recognised({"format": found.data.pop("format"), "path": path, **found.data}, found.said)


def _folder(path: Path) -> Recognised:
    names = sorted(file.name for file in path.iterdir() if file.is_file())
    if any(name.startswith("behaviors.tsv") for name in names):
        return Recognised({"format": "mind"}, [])
    if any(RATINGS.match(name) for name in names):
        return Recognised({"format": "movielens"}, [])
    if [*path.rglob("log_*.csv*")]:
        return Recognised({"format": "kuairand"}, [])
    if any(path.rglob("*.parquet")):
        return Recognised({"format": "parquet"}, [])
    first = parts_of(path)["train"] if any("train" in name for name in names) and len(names) >= 3 else None
    if first is None and names:
        first = path / names[0]
    if first is not None and (found := _file(first)).data["format"] in ("criteo", *FIELDS):
        return Recognised({"format": found.data["format"]}, [])
    said = f"has {', '.join(names[:8])}" if names else "has no file"
    raise DataError(f"{path}: is a folder of no known data set ({said}); name one of its files")


def _file(path: Path) -> Recognised:
    if path.is_file():
        with open(path, "rb") as raw:
            if raw.read(4) == b"PAR1":
                return Recognised({"format": "parquet"}, [])
        if path.suffix == ".zip" and any(RATINGS.search(name) for name in members(path)):
            return Recognised({"format": "movielens"}, [])
    encoding, lines = _lines(path)
    name = path.name.lower()
    if all(CRITEO.fullmatch(line) for line in lines):
        return Recognised({"format": "criteo"}, [])
    if all(MIND.fullmatch(line) for line in lines):
        return Recognised({"format": "mind"}, [])
    if RATINGS.match(name):
        return Recognised({"format": "movielens"}, [])
    events = [line for line in lines if line.partition("#")[0].strip()]
    if events and all(LIBFFM.fullmatch(line) for line in events):
        return Recognised({"format": "libffm", "fields": _fields_of_libffm(path)}, [])
    if events and all(LIBFM.fullmatch(line) for line in events):
        return _libfm(path, events)
    return _text_table(path, encoding, lines)


def _lines(path: Path) -> tuple[str, list[str]]:
    """The encoding, and the first lines."""
    with text_file(path).open() as raw:
        is_utf_16 = raw.read(2) in (b"\xff\xfe", b"\xfe\xff")
    for encoding in ("utf-16",) if is_utf_16 else ("utf-8", "latin-1"):
        try:
            return encoding, first_lines(text_file(path, encoding), LINES)
        except NotUtf8:
            continue
    raise AssertionError("latin-1 reads every byte")


def _fields_of_libffm(path: Path) -> int:
    """One more than the highest number of a field, in the whole file."""
    most = 0
    for _, block in blocks(text_file(path)):
        most = max(most, *map(int, set(FIELD_OF_LIBFFM.findall(block))), 0)
    return most + 1


def _libfm(path: Path, lines: Sequence[str]) -> Recognised:
    cells = [line.partition("#")[0].split()[1:] for line in lines]
    widths = {len(row) for row in cells}
    if len(widths) > 1 or any(float(cell.partition(":")[2]) != 1 for row in cells for cell in row):
        return Recognised({"format": "libsvm"}, [])
    (fields,) = widths
    name = path.name.lower()
    if "frappe" in name and fields == len(FIELDS["frappe"]):
        return Recognised({"format": "frappe"}, [])
    if re.match(r"(ml|movielens).*tag", name) and fields == len(FIELDS["movielens_tag"]):
        return Recognised({"format": "movielens_tag"}, [])
    said = ["field 0 is the user and field 1 the item, as is usual in libFM (user_field, item_field)"]
    return Recognised({"format": "libfm", "fields": fields}, said if fields > 1 else [])


def _text_table(path: Path, encoding: str, lines: Sequence[str]) -> Recognised:
    separator, quotes, rows = _cut(path, lines)
    header = rows[0]
    for name, columns in HEADERS.items():
        if columns <= {*header} and (name != "open_bandit" or _items_of(path) is not None):
            items = _items_of(path) if name == "open_bandit" else None
            return Recognised({"format": name} | ({} if items in (None, ITEMS) else {"items": items}), [])
    if separator == "," and header[0] == "label":
        for name, fields in FIELDS.items():
            if {*header[1:]} in ({*fields}, {*fields.values()}):
                return Recognised({"format": name}, [])
    data: dict[str, Any] = {"format": "tsv" if separator == "\t" else "csv"}
    said = []
    if separator not in ",\t":
        data["separator"] = separator
    if not quotes:
        data["quotes"] = False
        said.append('a " belongs to the value (quotes: false)')
    if encoding != "utf-8":
        data["encoding"] = encoding
        said.append(f"it is not UTF-8, and read as {encoding}")
    if not _is_header(rows):
        data["names"] = [f"c{i}" for i in range(len(header))]
        said.append("the first line is a row: its columns are called c0, c1, …")
    return Recognised(data, said)


def _items_of(path: Path) -> str | None:
    """The items' file beside a log of Open Bandit: item_context.csv, or what begins as the log's name does."""
    stem = path.name.partition(".")[0]
    for name in (ITEMS, f"{stem}_{ITEMS}"):
        for suffix in ("", ".xz", ".gz", ".bz2", ".zst"):
            if (path.parent / f"{name}{suffix}").exists():
                return f"{name}{suffix}"
    return None


def _cut(path: Path, lines: Sequence[str]) -> tuple[str, bool, list[list[str]]]:
    """The separator that gives most lines the same number of values, whether quotes are such, and the values."""
    best: tuple[tuple[float, bool, int], str, bool, list[list[str]]] | None = None
    for separator in SEPARATORS:
        for quotes in (True, False):
            rows = [_cells(line, separator, quotes) for line in lines]
            width, often = Counter(len(row) for row in rows).most_common(1)[0]
            key = (often / len(rows), quotes, width)
            if width > 1 and (best is None or key > best[0]):
                best = key, separator, quotes, rows
    if best is None:
        raise DataError(f"{path}: is no table: none of its lines has a comma, tab, semicolon or | between values")
    return best[1:]


def _cells(line: str, separator: str, quotes: bool) -> list[str]:
    """The values of a line; none where a quotation mark opens a value and none closes it."""
    if not quotes:
        return line.split(separator)
    cells = next(csv.reader([line + "\n"], delimiter=separator), [])
    return [] if any("\n" in cell for cell in cells) else cells


def _is_header(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row is of names: words, each there once, and none a value of its column below."""
    first, below = rows[0], rows[1:]
    is_number = re.compile(NUMBER)
    # One name may be empty: an index has none.
    if len({*first}) < len(first) or any(cell[:1].isdigit() or is_number.fullmatch(cell) for cell in first):
        return False
    columns = [[row[i] for row in below if len(row) == len(first)] for i in range(len(first))]
    if any(column and all(is_number.fullmatch(cell) for cell in column if cell) for column in columns):
        return True
    return not any(cell in column for cell, column in zip(first, columns, strict=True))
