"""libFM's text format with a category in each place: `label index:1 ...`, a line an event."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator, Sequence
from math import isinf

import numpy as np
import pyarrow as pa
import pyarrow.csv

from simulator.datasets.config import LibfmConfig
from simulator.datasets.rejects import Rejects
from simulator.datasets.rows import ROW_MS, ReplayRows, find
from simulator.datasets.source import Source
from simulator.datasets.text_file import TextFile, blocks, text_file

__all__ = ["LABEL", "NUMBER", "LibfmFields", "LibfmSource"]

NUMBER = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
LABEL = re.compile(NUMBER)
CELL = re.compile(rf"0*([0-9]{{1,19}}):({NUMBER})")
END = 2**63


class LibfmFields(Source):
    """Files one after the other. names: of the fields in their places; user and item: which of them are the ids."""

    def __init__(
        self, files: Sequence[TextFile], names: Sequence[str], user: int, item: int, at_least: float, said: str
    ) -> None:
        super().__init__([file.path for file in files], f"{said}: {at_least:g}")
        self._files = files
        self._names = names
        self._ids = (user, item)
        self._at_least = at_least

    def blocks(self, rejects: Rejects) -> Iterator[ReplayRows]:
        before = 0
        for file in self._files:
            for first, block in blocks(file, rejects):
                label, table = self._parsed(file.name, first, block, rejects)
                if not len(label):
                    continue
                columns = {name: np.ascontiguousarray(table[:, i]) for i, name in enumerate(self._names)}
                user, item = (columns[self._names[i]] for i in self._ids)
                time_ms = np.arange(before, before + len(label), dtype=np.int64) * ROW_MS
                clicked = (label >= self._at_least).astype(np.uint8)
                ids = {"user_id": user, "item_id": item} if "user_id" in self._names else {}
                yield ReplayRows(time_ms, user, item, clicked, columns | ids)
                before += len(label)

    def _parsed(self, name: str, first: int, block: bytes, rejects: Rejects) -> tuple[np.ndarray, np.ndarray]:
        """Labels float64 [n], indices int64 [n, fields]."""
        fields = len(self._names)
        if (found := _plain(block, fields)) is not None:
            return found
        labels, indices = array("d"), array("q")
        for number, line in enumerate(block.decode().split("\n"), start=first):
            parts = line.partition("#")[0].split()
            if not parts:
                continue
            label, cells = parts[0], parts[1:]
            row = [_index(cell) for cell in cells]
            if not LABEL.fullmatch(label) or isinf(float(label)) or None in row:
                rejects.add([f"{name}: line {number} is not `label index:value ...`: {_mistake(label, cells, row)}"])
            elif len(row) != fields:
                rejects.add([f"{name}: line {number} has {len(row)} fields, must have {fields}{self._more}"])
            else:
                labels.append(float(label))
                indices.extend(row)  # type: ignore[arg-type]
        return np.array(labels), np.array(indices, dtype=np.int64).reshape(len(labels), fields)

    _more = ""


class LibfmSource(LibfmFields):
    """The file that a scenario describes, its fields named f0, f1, ….  Raises DataError naming the line."""

    _more = " (data.fields)"

    def __init__(self, config: LibfmConfig) -> None:
        names = [f"f{i}" for i in range(config.fields)]
        ids = (config.user_field, config.item_field)
        super().__init__([text_file(find(config.path))], names, *ids, config.at_least, "data.at_least")


def _plain(block: bytes, fields: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Lines of nothing but a label and `index:1` with a space before each, as most files are; None for others.

    Twenty times as fast as line by line: once each `:1` is gone, it is a table of numbers.
    """
    text = block.replace(b"\r\n", b"\n").replace(b" \n", b"\n")
    if not text.endswith(b"\n"):
        text += b"\n"
    if text.count(b":1 ") + text.count(b":1\n") != fields * text.count(b"\n") or b"x" in text or b"X" in text:
        return None
    text = text.replace(b":1 ", b" ").replace(b":1\n", b"\n")
    names = ["label", *map(str, range(fields))]
    try:
        table = pyarrow.csv.read_csv(
            pa.py_buffer(text),
            read_options=pyarrow.csv.ReadOptions(column_names=names, use_threads=False, block_size=len(text) + 1),
            parse_options=pyarrow.csv.ParseOptions(delimiter=" ", quote_char=False, ignore_empty_lines=False),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.int64()) | {"label": pa.float64()}
            ),
        )
    except pa.ArrowException:
        return None
    label = table["label"].to_numpy()
    if any(column.null_count for column in table.columns) or not np.isfinite(label).all():
        return None
    indices = np.stack([table[name].to_numpy() for name in names[1:]], axis=1)
    return None if (indices < 0).any() else (label, indices)


def _index(cell: str) -> int | None:
    """The index of `index:1`; None where the cell is anything else."""
    found = CELL.fullmatch(cell)
    if found is None or float(found[2]) != 1 or (index := int(found[1])) >= END:
        return None
    return index


def _mistake(label: str, cells: list[str], row: list[int | None]) -> str:
    if None not in row:
        return f"its label is {label[:80]!r}, must be a finite number"
    cell = cells[row.index(None)][:80]
    if cell.count(":") == 2:
        return f"{cell!r} is field:index:value, libFFM's: say data.format: libffm"
    found = CELL.fullmatch(cell)
    if found is None:
        return f"got {cell!r}, the index must be 0 or more and the value a finite number"
    if int(found[1]) >= END:
        return f"got {cell!r}, the index must be below 2^63"
    return f"got {cell!r}, the value must be 1: a field is a category, its index; data.format: libsvm keeps the values"
