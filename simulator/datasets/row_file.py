"""Rows of a data set as an Arrow file, a record batch a block."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa

from reloop_stream.codec.arrow_format import from_arrow, to_arrow
from reloop_stream.events import Column
from simulator.datasets.rows import ReplayRows

__all__ = ["RowFile", "to_rows"]

FEATURE, PAIR = "feature.", "pair."
OPTIONAL = ("request_id", "position", "propensity", "weight")
# Features that are the id columns, and are not stored twice.
IDS = ("user_id", "item_id")


class RowFile:
    """Writes blocks of rows. starts: the first row of each block, and the end. features: their names."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._sink: Any = None
        self._writer: Any = None
        self._schema: pa.Schema = None
        self.starts = [0]
        self.features: list[str] = []

    def __enter__(self) -> Self:
        self._sink = pa.OSFile(str(self._path), "wb")
        return self

    def write(self, rows: ReplayRows, keys: dict[str, np.ndarray] | None = None) -> None:
        columns = _to_columns(rows) | {name: pa.array(column) for name, column in (keys or {}).items()}
        if self._writer is None:
            self._schema = pa.schema([(name, column.type) for name, column in columns.items()])
            self._writer = pa.ipc.new_file(self._sink, self._schema, options=pa.ipc.IpcWriteOptions(compression="lz4"))
            self.features = list(rows.features)
        self._writer.write_batch(pa.record_batch(list(columns.values()), schema=self._schema))
        self.starts.append(self.starts[-1] + len(rows))

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()
        self._sink.close()


def _to_columns(rows: ReplayRows) -> dict[str, pa.Array]:
    columns = {"time_ms": to_arrow(rows.time_ms), "user_id": to_arrow(rows.user_id), "item_id": to_arrow(rows.item_id)}
    columns["label"] = to_arrow(rows.label)
    for name in OPTIONAL:
        if (column := getattr(rows, name)) is not None:
            columns[name] = to_arrow(column)
    for name, feature in rows.features.items():
        if name not in IDS:
            columns[FEATURE + name] = to_arrow(feature)
    for name, values in rows.pairs.items():
        columns[PAIR + name] = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])
    return columns


def to_rows(batch: pa.RecordBatch, names: Sequence[str]) -> ReplayRows:
    """The rows of a record batch. names: of the features, in their order."""
    user, item = (np.asarray(from_arrow(name, batch.column(name))) for name in IDS)
    ids = dict(zip(IDS, (user, item), strict=True))
    features: dict[str, Column] = {
        name: ids[name] if name in ids else from_arrow(name, batch.column(FEATURE + name)) for name in names
    }
    there = set(batch.schema.names)
    optional = {name: batch.column(name).to_numpy() for name in OPTIONAL if name in there}
    time_ms, label = batch.column("time_ms").to_numpy(), batch.column("label").to_numpy()
    pairs = {
        name.removeprefix(PAIR): batch.column(name).flatten().to_numpy().reshape(len(batch), -1)
        for name in there
        if name.startswith(PAIR)
    }
    return ReplayRows(time_ms, user, item, label, features, **optional, pairs=pairs)
