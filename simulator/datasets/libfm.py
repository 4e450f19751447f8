"""libFM's text format: `label index:value ...`, a line an event."""

from __future__ import annotations

import re
from array import array
from math import isinf

import numpy as np

from simulator.datasets.config import LibfmConfig
from simulator.datasets.rows import ROW_MS, ReplayRows, find
from simulator.datasets.text_file import blocks, text_file
from simulator.errors import DataError

__all__ = ["read_libfm"]

NUMBER = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
LABEL = re.compile(NUMBER)
CELL = re.compile(rf"0*([0-9]{{1,19}}):({NUMBER})")
END = 2**63


def read_libfm(config: LibfmConfig) -> ReplayRows:
    """The rows, in the file's order, a second apart. Raises DataError naming the line."""
    path = find(config.path)
    labels, indices = array("d"), array("q")
    for first, block in blocks(text_file(path)):
        for number, line in enumerate(block.decode().split("\n"), start=first):
            parts = line.partition("#")[0].split()
            if not parts:
                continue
            label, cells = parts[0], parts[1:]
            row = [_index(cell) for cell in cells]
            if not LABEL.fullmatch(label) or isinf(float(label)) or None in row:
                raise DataError(f"{path}: line {number} is not `label index:value ...`: {_mistake(label, cells, row)}")
            if len(row) != config.fields:
                raise DataError(f"{path}: line {number} has {len(row)} fields, data.fields says {config.fields}")
            labels.append(float(label))
            indices.extend(row)  # type: ignore[arg-type]
    table = np.array(indices, dtype=np.int64).reshape(len(labels), config.fields)
    features = {f"f{i}": np.ascontiguousarray(table[:, i]) for i in range(config.fields)}
    label_of = (np.array(labels) >= config.at_least).astype(np.uint8)
    time_ms = np.arange(len(labels), dtype=np.int64) * ROW_MS
    return ReplayRows(time_ms, features[f"f{config.user_field}"], features[f"f{config.item_field}"], label_of, features)


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
        return f"{cell!r} is field:index:value, libFFM's; write index:value, each field at its own place in the line"
    found = CELL.fullmatch(cell)
    if found is None:
        return f"got {cell!r}, the index must be 0 or more and the value a finite number"
    if int(found[1]) >= END:
        return f"got {cell!r}, the index must be below 2^63"
    return (
        f"got {cell!r}, the value must be 1: a field is a category, its index; amounts can be given as CSV or Parquet"
    )
