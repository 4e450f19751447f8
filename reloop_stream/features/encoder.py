"""Feature values → rows of one embedding table, numbers, and lists of rows."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from reloop_stream.config import FieldConfig
from reloop_stream.errors import StateError
from reloop_stream.events import Column, ListColumn
from reloop_stream.features.check import fitting, rows_of
from reloop_stream.features.hashing import bucket, field_salt, hash_texts
from reloop_stream.features.numbers import Moments, bucket_of, signed_log1p
from reloop_stream.features.vocabulary import Vocabulary

__all__ = ["Encoded", "EncodedList", "Encoder"]

MOMENTS = ".moments"  # behind the field's name: of a state's arrays


class EncodedList(NamedTuple):
    """A list field: the mean of a list is the sum of weight · value over the number of its values.

    rows: int64 [total], of the table. offsets: int64 [n + 1], where each example's begin. weights: float64 [total], in
    units of the mean weight of their list, and 0 where all of a list are; None: all 1.
    """

    rows: np.ndarray
    offsets: np.ndarray
    weights: np.ndarray | None

    @property
    def lengths(self) -> np.ndarray:
        """How many values each list has, int64 [n]."""
        return np.diff(self.offsets)

    def part(self, rows: slice) -> EncodedList:
        """Consecutive lists, without a copy of their values."""
        start, stop, _ = rows.indices(len(self.offsets) - 1)
        offsets = self.offsets[start : stop + 1]
        values = slice(offsets[0], offsets[-1])
        weights = None if self.weights is None else self.weights[values]
        return EncodedList(self.rows[values], offsets - offsets[0], weights)

    def means(self, of_rows: np.ndarray) -> np.ndarray:
        """The mean of each list, float64 [n], of what its values have: of_rows, [total]; 0 for an empty list."""
        n = len(self.offsets) - 1
        each = of_rows if self.weights is None else of_rows * self.weights
        return np.bincount(np.repeat(np.arange(n), self.lengths), each, n) / np.maximum(self.lengths, 1)


@dataclass(frozen=True, slots=True)
class Encoded:
    """Encoded rows of a batch.

    slots: int64 [n, category fields], rows of the table. lists: of each list field. numbers: float32 [n, number fields]. A
    number in buckets is a category here.
    """

    slots: np.ndarray
    lists: tuple[EncodedList, ...]
    numbers: np.ndarray

    def __len__(self) -> int:
        return len(self.slots)

    def part(self, rows: slice) -> Encoded:
        """Consecutive rows, without a copy of their values."""
        return Encoded(self.slots[rows], tuple(one.part(rows) for one in self.lists), self.numbers[rows])


class Encoder:
    """Maps values to rows of one table in which every category and list field has a range of its own.

    exact fields: value v in [0, buckets) has row v + 1 of its range; row 0 is for all others. hashed fields: row
    hash(name, value) in `buckets`, for any integer or text. growing fields: a row of their own for unknown values, and
    one for each value that `learn_values` saw, up to `buckets` of them; these rows come after those of all fields.
    standardised numbers: by the moments of those that `learn_numbers` saw.

    fields: those that this encoder sees, in the order categories, lists, numbers.

    >>> encoder = Encoder([FieldConfig(name="hour", mode="exact", buckets=24), FieldConfig(name="price", kind="number")])
    >>> encoded = encoder.encode({"hour": np.array([3, 99]), "price": np.array([0.5, 1.5])})
    >>> encoder.rows, encoded.slots.tolist(), encoded.numbers.tolist()
    (25, [[4], [0]], [[0.5], [1.5]])
    """

    def __init__(self, fields: Sequence[FieldConfig]) -> None:
        # Brings numba, which processes that encode nothing do without.
        from reloop_stream.features.compiled_hashing import rows_of_integers

        self._rows_of_integers = rows_of_integers
        self.categories = [field for field in fields if field.kind == "category" or field.is_bucketed]
        self.lists = [field for field in fields if field.kind == "list"]
        self.numbers = [field for field in fields if field.kind == "number" and not field.is_bucketed]
        self.fields = [*self.categories, *self.lists, *self.numbers]
        self.names = [field.name for field in self.fields]
        if len(set(self.names)) < len(self.names):
            raise ValueError(f"features: names must differ, got {self.names}")
        self._starts: dict[str, int] = {}
        self.fixed_rows = 0
        for field in (*self.categories, *self.lists):
            self._starts[field.name] = self.fixed_rows
            self.fixed_rows += {"hashed": field.buckets, "exact": field.buckets + 1, "growing": 1}[field.mode]
        self._salts = {field.name: field_salt(field.name) for field in fields}
        self._growing = [field for field in (*self.categories, *self.lists) if field.mode == "growing"]
        self._vocabulary = Vocabulary({field.name: field.buckets for field in self._growing}, first=self.fixed_rows)
        self._moments = {field.name: Moments() for field in self.numbers if field.transform == "standardised"}
        self._end: int | None = None  # of a frozen encoder: rows from here on are not its own

    @property
    def rows(self) -> int:
        """Rows of the table: those that are there from the first, and one for each value that has been learnt."""
        return self._vocabulary.end if self._end is None else self._end

    @property
    def is_fixed(self) -> bool:
        """Whether it encodes alike whatever it has learnt: no field grows, no number is standardised."""
        return not (self._growing or self._moments)

    def learn_values(self, features: Mapping[str, Column]) -> None:
        """Let the batch's new values join the vocabularies of growing fields. Raises EventError naming an unfit column."""
        self._check_learns()
        if not self._growing:
            return
        fit = self.select(features)  # before anything is learnt: a batch that is refused must leave nothing behind
        for field in self._growing:
            column = fit[field.name]
            self._vocabulary.learn(field.name, _keys(field, column))

    def learn_numbers(self, features: Mapping[str, Column]) -> None:
        """Let the numbers of a batch that has been encoded count among those by which later ones are standardised."""
        self._check_learns()
        for name, moments in self._moments.items():
            column = features[name]
            assert isinstance(column, np.ndarray)
            self._moments[name] = moments.joined(column)

    def _check_learns(self) -> None:
        if self._end is not None:
            raise TypeError("a frozen encoder learns no values")

    def frozen(self) -> Encoder:
        """This encoder as it is now. Costs nothing: the vocabularies are shared, and their later values ignored."""
        encoder = copy.copy(self)
        encoder._end = self.rows
        encoder._moments = dict(self._moments)
        return encoder

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """The vocabularies of growing fields and the moments of standardised ones; nothing where there are none."""
        meta, arrays = self._vocabulary.state(self.rows) if self._growing else ({}, {})
        return meta, arrays | {name + MOMENTS: np.array(moments) for name, moments in self._moments.items()}

    def restore(self, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Put back what `state` gave. Raises StateError where it is of other fields."""
        for name in self._moments:
            kept = arrays.get(name + MOMENTS, np.zeros(0))
            if kept.shape != (len(Moments._fields),):
                raise StateError(f"state: holds no mean and spread of {name}, which this model standardises")
            self._moments[name] = Moments(*kept.tolist())
        if self._growing:
            self._vocabulary = self._vocabulary.restored(meta, arrays)
            self._end = None if self._end is None else self._vocabulary.end

    def select(self, features: Mapping[str, Column]) -> dict[str, Column]:
        """This encoder's fields out of an event's features. Raises EventError naming one that is missing or unfit."""
        n = rows_of(features)
        return {field.name: fitting(field, features.get(field.name), n) for field in self.fields}

    def encode(self, features: Mapping[str, Column]) -> Encoded:
        """All fields of a batch. Raises EventError naming a field that is missing or unfit."""
        return self.encode_some(features, self.names)

    def encode_some(self, features: Mapping[str, Column], names: Sequence[str]) -> Encoded:
        """Like `encode`, for these fields alone, in this encoder's order."""
        wanted = set(names)
        categories = [field for field in self.categories if field.name in wanted]
        numbers = [field for field in self.numbers if field.name in wanted]
        n = rows_of(features)
        # Each field in one piece, turned at the end: twice as fast as writing every column of an [n, fields] array.
        by_field = np.empty((len(categories), n), dtype=np.int64)
        for field, out in zip(categories, by_field, strict=True):
            self._rows_of(field, fitting(field, features.get(field.name), n), out)
        lists = []
        for field in self.lists:
            if field.name in wanted:
                column = fitting(field, features.get(field.name), n)
                assert isinstance(column, ListColumn)
                rows = np.empty(len(column.values), dtype=np.int64)
                self._rows_of(field, column, rows)
                offsets = column.offsets.astype(np.int64)
                lists.append(EncodedList(rows, offsets, _in_mean_weights(column.weights, offsets)))
        values = np.empty((n, len(numbers)), dtype=np.float32)
        for i, field in enumerate(numbers):
            column = fitting(field, features.get(field.name), n)
            assert isinstance(column, np.ndarray)
            values[:, i] = self._seen(field, column)
        return Encoded(np.ascontiguousarray(by_field.T), tuple(lists), values)

    def _seen(self, field: FieldConfig, column: np.ndarray) -> np.ndarray:
        """What a model sees of a number that is none of buckets."""
        if field.transform == "log1p":
            return signed_log1p(column)
        if field.transform == "standardised":
            return self._moments[field.name].standardised(column)
        return column

    def _rows_of(self, field: FieldConfig, column: Column, out: np.ndarray) -> None:
        values = _keys(field, column)
        start = self._starts[field.name]
        if field.mode == "exact":
            # In 64 bits: in the column's own type, int8 say, the sum would be another row.
            np.add(values, start + 1, out=out, casting="unsafe", dtype=np.int64)
            outside = (values < 0) | (values >= field.buckets)
            if outside.any():
                out[outside] = start
            return
        if field.mode == "growing":
            rows = self._vocabulary.rows(field.name, values, unknown=start)
            out[:] = rows if self._end is None else np.where(rows < self._end, rows, start)
            return
        salt = self._salts[field.name]
        if values.dtype.kind in "iu":
            self._rows_of_integers(values, salt, field.buckets, start, out)
            return
        np.add(bucket(hash_texts(values, salt), field.buckets), start, out=out)


def _in_mean_weights(weights: np.ndarray | None, offsets: np.ndarray) -> np.ndarray | None:
    """Each weight over the mean weight of its list, so that equal ones are 1 and none is too large for a float32."""
    if weights is None:
        return None
    n, lengths = len(offsets) - 1, np.diff(offsets)
    of_list = np.repeat(np.arange(n), lengths)
    wide = weights.astype(np.float64)
    sums = np.bincount(of_list, wide, n)[of_list]
    return np.divide(wide * lengths[of_list], sums, out=np.zeros(len(wide)), where=sums > 0)


def _keys(field: FieldConfig, column: Column) -> np.ndarray:
    """The values that rows are given out by: the column's own, those of its lists, or a number's buckets."""
    values = column.values if isinstance(column, ListColumn) else column
    return bucket_of(values, field.edges) if field.is_bucketed else values
