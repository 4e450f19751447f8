"""What a worker lets in: checks the columns of events beyond the event contract, and keeps those that a model sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from reloop_stream.errors import EventError
from reloop_stream.events import ClickBatch, Column, ExposureBatch, ListColumn
from reloop_stream.features.encoder import Encoder

__all__ = ["IDS", "Intake", "ValueType", "type_of"]

ValueType = Literal["integer", "text", "number"]
IDS = ("request_id", "exposure_id", "user_id", "item_id")
OF_KIND: dict[str, ValueType] = {"i": "integer", "u": "integer", "U": "text", "O": "text", "f": "number"}


def type_of(column: Column) -> ValueType | None:
    """What a column holds; None for lists that are all empty, which fit any type.

    >>> type_of(np.array([1, 2])), type_of(np.array(["a"])), type_of(ListColumn(np.zeros(0), np.array([0, 0])))
    ('integer', 'text', None)
    """
    values = column.values if isinstance(column, ListColumn) else column
    if isinstance(column, ListColumn) and not len(values):
        return None
    return OF_KIND[values.dtype.kind]


class Intake:
    """Lets exposures and clicks in, as `reloop_stream.codec.records.decode` asks; a batch that it refuses is dead.

    encoder: says which features a model sees; the others are dropped.
    types: whether the values of an id, or of a feature, are integers or texts, where they must be of one type: a stream
        on which anyone may write could hold both, and nothing here sorts, joins or stores a mixture. A column that is
        not named may be of either.
    """

    def __init__(self, encoder: Encoder, types: Mapping[str, ValueType] | None = None) -> None:
        self._encoder = encoder
        self._types = dict(types or {})

    def __call__(self, batch: Any) -> Any:
        """The batch with the wanted features alone. Raises EventError naming the column."""
        if isinstance(batch, ClickBatch):
            self._check("exposure_id", batch.exposure_id)
            return batch
        assert isinstance(batch, ExposureBatch)
        for name in IDS:
            self._check(name, getattr(batch, name))
        features = self._encoder.select(batch.features)
        for name, column in features.items():
            self._check(f"features.{name}", column)
            if isinstance(column, np.ndarray) and column.dtype.kind == "u":
                features[name] = column.astype(np.int64)  # with signed ones they have no integer type in common
        return replace(batch, features=features)

    def _check(self, path: str, column: Column) -> None:
        wanted = self._types.get(path)
        found = None if wanted is None else type_of(column)
        if found is not None and found != wanted:
            raise EventError(f"{path}: got a value of type {found}, in this stream it is of type {wanted}")
