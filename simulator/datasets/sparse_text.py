"""libSVM's and libFFM's text: `label index:value ...` and `label field:index:value ...`, any number of cells a line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

from reloop_stream.events import LARGEST_NUMBER, Column, ListColumn
from simulator.datasets.config import LibffmConfig, LibsvmConfig
from simulator.datasets.libfm import LABEL, NUMBER
from simulator.datasets.rejects import Rejects
from simulator.datasets.rows import ROW_MS, ReplayRows, find
from simulator.datasets.source import Source
from simulator.datasets.text_file import TextFile, blocks, text_file

__all__ = ["LibffmSource", "LibsvmSource"]

CELL = re.compile(rf"(?:([0-9]{{1,9}}):)?0*([0-9]{{1,18}}):({NUMBER})")


class _SparseText(Source):
    """Each field is a list of the indices that a line has in it, with the values as weights. Nobody is told apart: all ids are 0.

    names: of the fields; where they are numbered, a cell begins with its field's number.
    """

    def __init__(self, file: TextFile, names: Sequence[str], at_least: float, *, numbered: bool) -> None:
        super().__init__([file.path], f"data.at_least: {at_least:g}", has_users=False)
        self._file = file
        self._names = names
        self._at_least = at_least
        self._numbered = numbered

    def blocks(self, rejects: Rejects) -> Iterator[ReplayRows]:
        before = 0
        for first, block in blocks(self._file, rejects):
            labels: list[float] = []
            cells: list[list[tuple[int, int, float]]] = []
            for number, line in enumerate(block.decode().split("\n"), start=first):
                label, *rest = line.partition("#")[0].split() or [""]
                if not label and not rest:
                    continue
                found = self._parsed(label, rest)
                if isinstance(found, str):
                    form = "label field:index:value ..." if self._numbered else "label index:value ..."
                    rejects.add([f"{self._file.name}: line {number} is not `{form}`: {found}"])
                else:
                    labels.append(float(label))
                    cells.append(found)
            if not labels:
                continue
            clicked = (np.array(labels) >= self._at_least).astype(np.uint8)
            time_ms = np.arange(before, before + len(labels), dtype=np.int64) * ROW_MS
            nobody = np.zeros(len(labels), dtype=np.int64)
            yield ReplayRows(time_ms, nobody, nobody, clicked, self._columns(cells))
            before += len(labels)

    def _parsed(self, label: str, rest: list[str]) -> list[tuple[int, int, float]] | str:
        """A line's cells as field, index, value; or what is wrong with it."""
        if not LABEL.fullmatch(label) or abs(float(label)) > LARGEST_NUMBER:
            return f"its label is {label[:80]!r}, must be a finite number"
        row = []
        for cell in rest:
            found = CELL.fullmatch(cell)
            if found is None or (found[1] is None) == self._numbered:
                return f"got {cell[:80]!r}"
            field, index, value = int(found[1] or 0), int(found[2]), float(found[3])
            if field >= len(self._names):
                return f"got {cell[:80]!r}, fields are numbered from 0 to {len(self._names) - 1} (data.fields)"
            if not 0 <= value <= LARGEST_NUMBER:
                return f"got {cell[:80]!r}, a value is the weight of its index, 0 or more and up to 3.4e38"
            row.append((field, index, value))
        return row

    def _columns(self, cells: list[list[tuple[int, int, float]]]) -> dict[str, Column]:
        of_row = np.repeat(np.arange(len(cells)), [len(row) for row in cells])
        flat = [cell for row in cells for cell in row]
        field = np.array([cell[0] for cell in flat], dtype=np.int64)
        index = np.array([cell[1] for cell in flat], dtype=np.int64)
        value = np.array([cell[2] for cell in flat], dtype=np.float64)
        columns: dict[str, Column] = {}
        for number, name in enumerate(self._names):
            mine = field == number
            counts = np.bincount(of_row[mine], minlength=len(cells))
            offsets = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
            columns[name] = ListColumn(index[mine], offsets, value[mine])
        return columns


class LibsvmSource(_SparseText):
    """The file that a scenario describes: one field, `x`. Raises DataError naming the line."""

    def __init__(self, config: LibsvmConfig) -> None:
        super().__init__(text_file(find(config.path)), ["x"], config.at_least, numbered=False)


class LibffmSource(_SparseText):
    """The file that a scenario describes: fields f0, f1, …. Raises DataError naming the line."""

    def __init__(self, config: LibffmConfig) -> None:
        names = [f"f{i}" for i in range(config.fields)]
        super().__init__(text_file(find(config.path)), names, config.at_least, numbered=True)
