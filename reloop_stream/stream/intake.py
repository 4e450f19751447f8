"""What a worker lets in: checks the columns of events beyond the event contract, and keeps those that a model sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from reloop_stream.errors import EventError
from reloop_stream.events import ClickBatch, Column, ExposureBatch, ListColumn, Mark
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
    max_ahead_ms: how far an event's time may lie beyond the time at which its record was written, where the log knows
        that: one that lies further would move its partition's clock for good, and close the windows of honest events.
        None: as far as it likes, as in a replay. Costs one comparison of columns a batch.
    """

    def __init__(
        self, encoder: Encoder, types: Mapping[str, ValueType] | None = None, max_ahead_ms: int | None = None
    ) -> None:
        self._encoder = encoder
        self._types = dict(types or {})
        self._max_ahead_ms = max_ahead_ms

    def __call__(self, batch: Any, written_ms: np.ndarray | None = None) -> Any:
        """The batch (or mark) with the wanted features alone. Raises EventError naming the column.

        written_ms: int64 [n], when each row's record was written; None: not known.
        """
        if isinstance(batch, Mark):
            self._check_ahead(np.array([batch.watermark_ms]), written_ms)
            return batch
        if isinstance(batch, ClickBatch):
            self._check("exposure_id", batch.exposure_id)
            # A click whose own time alone is wrong moves no clock, and is late.
            self._check_ahead(np.minimum(batch.event_time_ms, batch.click_time_ms), written_ms)
            return batch
        assert isinstance(batch, ExposureBatch)
        self._check_ahead(batch.event_time_ms, written_ms)
        for name in IDS:
            self._check(name, getattr(batch, name))
        try:
            features = self._encoder.select(batch.features)
        except EventError as error:
            raise EventError(f"{error} (the event has {', '.join(sorted(batch.features)) or 'no features'})") from None
        for name, column in features.items():
            self._check(f"features.{name}", column)
            if isinstance(column, np.ndarray) and column.dtype.kind == "u":
                features[name] = column.astype(np.int64)  # with signed ones they have no integer type in common
        return replace(batch, features=features)

    def _check_ahead(self, event_time_ms: np.ndarray, written_ms: np.ndarray | None) -> None:
        if self._max_ahead_ms is None or written_ms is None:
            return
        ahead_ms = event_time_ms - written_ms
        if (ahead_ms > self._max_ahead_ms).any():
            row = int(np.argmax(ahead_ms))
            raise EventError(
                f"event_time_ms: got {event_time_ms[row]}, {ahead_ms[row] / 60_000:,.0f} minutes after its record was "
                f"written; at most {self._max_ahead_ms / 60_000:g} are let in (--max-ahead-minutes)"
            )

    def _check(self, path: str, column: Column) -> None:
        wanted = self._types.get(path)
        found = None if wanted is None else type_of(column)
        if found is not None and found != wanted:
            raise EventError(f"{path}: got a value of type {found}, in this stream it is of type {wanted}")
