"""libFM's text format: `label index:value ...`, a line an event."""

from __future__ import annotations

import numpy as np

from simulator.datasets.config import LibfmConfig
from simulator.datasets.rows import ReplayRows, find
from simulator.datasets.tables import ROW_MS
from simulator.errors import DataError

__all__ = ["read_libfm"]


def read_libfm(config: LibfmConfig) -> ReplayRows:
    """The rows, in the file's order, a second apart. Raises DataError naming the line."""
    path = find(config.path)
    labels: list[float] = []
    indices: list[list[int]] = []
    with open(path, encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, start=1):
            parts = line.split("#")[0].split()
            if not parts:
                continue
            try:
                row = [int(part.split(":")[0]) for part in parts[1:]]
                labels.append(float(parts[0]))
            except ValueError:
                raise DataError(
                    f"{path}: line {number} is not `label index:value ...`: {line.strip()[:80]!r}"
                ) from None
            if len(row) != config.fields:
                raise DataError(f"{path}: line {number} has {len(row)} fields, data.fields says {config.fields}")
            indices.append(row)
    table = np.array(indices, dtype=np.int64).reshape(len(labels), config.fields)
    features = {f"f{i}": np.ascontiguousarray(table[:, i]) for i in range(config.fields)}
    label = (np.array(labels) >= config.at_least).astype(np.uint8)
    time_ms = np.arange(len(labels), dtype=np.int64) * ROW_MS
    return ReplayRows(time_ms, features[f"f{config.user_field}"], features[f"f{config.item_field}"], label, features)
