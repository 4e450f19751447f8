"""Feature values → rows of one embedding table, numbers, and lists of rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from reloop_stream.config import FieldConfig
from reloop_stream.events import Column, EventError, ListColumn
from reloop_stream.hashing import bucket, field_salt, hash_integers, hash_texts

__all__ = ["Encoded", "Encoder"]


@dataclass(frozen=True, slots=True)
class Encoded:
    """Encoded rows of a batch.

    slots: int64 [n, category fields], rows of the table. lists: for each list field the rows [total] and where each
    example's begin, int64 [n + 1]. numbers: float32 [n, number fields].
    """

    slots: np.ndarray
    lists: tuple[tuple[np.ndarray, np.ndarray], ...]
    numbers: np.ndarray

    def __len__(self) -> int:
        return len(self.slots)


class Encoder:
    """Maps values to rows of one table in which every category and list field has a range of its own.

    exact fields: value v in [0, buckets) has row v + 1 of its range; row 0 is for all others. hashed fields: row
    hash(name, value) in `buckets`, for any integer or text.

    fields: those that this encoder sees, in the order categories, lists, numbers.

    >>> encoder = Encoder([FieldConfig(name="hour", mode="exact", buckets=24), FieldConfig(name="price", kind="number")])
    >>> encoded = encoder.encode({"hour": np.array([3, 99]), "price": np.array([0.5, 1.5])})
    >>> encoder.rows, encoded.slots.tolist(), encoded.numbers.tolist()
    (25, [[4], [0]], [[0.5], [1.5]])
    """

    def __init__(self, fields: Sequence[FieldConfig]) -> None:
        by_kind = {kind: [f for f in fields if f.kind == kind] for kind in ("category", "list", "number")}
        self.categories, self.lists, self.numbers = by_kind["category"], by_kind["list"], by_kind["number"]
        self.fields = [*self.categories, *self.lists, *self.numbers]
        self.names = [field.name for field in self.fields]
        if len(set(self.names)) < len(self.names):
            raise ValueError(f"features: names must differ, got {self.names}")
        self._starts: dict[str, int] = {}
        self.rows = 0
        for field in (*self.categories, *self.lists):
            self._starts[field.name] = self.rows
            self.rows += field.buckets + (field.mode == "exact")
        self._salts = {field.name: field_salt(field.name) for field in fields}

    def select(self, features: Mapping[str, Column]) -> dict[str, Column]:
        """This encoder's fields out of an event's features. Raises EventError naming one that is missing or unfit."""
        return {field.name: _fitting(field, features.get(field.name)) for field in self.fields}

    def encode(self, features: Mapping[str, Column]) -> Encoded:
        """All fields of a batch. Raises EventError naming a field that is missing."""
        return self.encode_some(features, self.names)

    def encode_some(self, features: Mapping[str, Column], names: Sequence[str]) -> Encoded:
        """Like `encode`, for these fields alone, in this encoder's order."""
        wanted = set(names)
        categories = [field for field in self.categories if field.name in wanted]
        numbers = [field for field in self.numbers if field.name in wanted]
        n = len(next(iter(features.values()), ()))
        slots = np.empty((n, len(categories)), dtype=np.int64)
        for i, field in enumerate(categories):
            self._rows_of(field, _fitting(field, features.get(field.name)), slots[:, i])
        lists = []
        for field in self.lists:
            if field.name in wanted:
                column = _fitting(field, features.get(field.name))
                assert isinstance(column, ListColumn)
                rows = np.empty(len(column.values), dtype=np.int64)
                self._rows_of(field, column.values, rows)
                lists.append((rows, column.offsets.astype(np.int64)))
        values = np.empty((n, len(numbers)), dtype=np.float32)
        for i, field in enumerate(numbers):
            column = _fitting(field, features.get(field.name))
            assert isinstance(column, np.ndarray)
            values[:, i] = column
        return Encoded(slots, tuple(lists), values)

    def _rows_of(self, field: FieldConfig, values: Column, out: np.ndarray) -> None:
        assert isinstance(values, np.ndarray)
        start = self._starts[field.name]
        if field.mode == "exact":
            np.add(values, start + 1, out=out, casting="unsafe")
            outside = (values < 0) | (values >= field.buckets)
            if outside.any():
                out[outside] = start
            return
        salt = self._salts[field.name]
        hashes = hash_integers(values, salt) if values.dtype.kind in "iu" else hash_texts(values, salt)
        np.add(bucket(hashes, field.buckets), start, out=out)


def _fitting(field: FieldConfig, column: Column | None) -> Column:
    """The column, if it is what the field needs."""
    if column is None:
        raise EventError(f"features.{field.name}: missing; the model has this field")
    is_list = isinstance(column, ListColumn)
    if is_list != (field.kind == "list"):
        found = "a list" if is_list else "a single value"
        raise EventError(f"features.{field.name}: got {found}, the model's field is a {field.kind}")
    kind = column.values.dtype.kind if isinstance(column, ListColumn) else column.dtype.kind
    if field.kind == "number":
        allowed, rule = "iuf", "a number"
    elif field.mode == "exact":
        allowed, rule = "iu", "an integer (mode: exact)"
    else:
        allowed, rule = "iuUO", "an integer or a text"
    if kind not in allowed:
        raise EventError(f"features.{field.name}: got values of numpy kind {kind!r}, must be {rule}")
    return column
