"""The event contract: exposures, clicks, labelled examples and marks, as columnar batches.

A batch holds one numpy array a column. A column whose value is the same in every row is a zero-stride view
(`constant`), which costs no memory here and no bytes in an arrow record. Batches are immutable: treat their arrays as
read-only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, Self, TypeAlias

import numpy as np

from reloop_stream.errors import EventError

__all__ = [
    "CLICKED",
    "EXPIRED",
    "LARGEST_NUMBER",
    "LATEST_MS",
    "SCHEMA_VERSION",
    "Batch",
    "ClickBatch",
    "Column",
    "EventKind",
    "ExampleBatch",
    "ExposureBatch",
    "ListColumn",
    "Mark",
    "check",
    "check_list_weights",
    "concat_columns",
    "constant",
    "is_constant",
    "part_column",
    "take_column",
]

# Raised by one when a stored column changes its name, type or meaning. Readers refuse versions from the future. A column
# that may be left out, as `weight`, changes none: records of before are read as they were. Nor do the weights of lists: a
# reader that knows none refuses these lists, and takes them for nothing else.
SCHEMA_VERSION = 1

# Times in milliseconds further from 1970 than this (285,000 years) are none, and sums of them must not overflow.
LATEST_MS = 1 << 53
# Models compute in float32, where a larger number is infinite.
LARGEST_NUMBER = float(np.finfo(np.float32).max)
WEIGHT_RULE = "above 0 and finite as a float32"

# What a column means that was left out, where others beside it have it.
LEFT_OUT = {"weight": 1.0}

# Join status of an example: how its label came about.
EXPIRED = 0  # the attribution window closed without a click (or, with `emit: at_once`, nothing has come yet)
CLICKED = 1


@dataclass(frozen=True, slots=True)
class ListColumn:
    """A multi-valued feature: row `i` holds `values[offsets[i]:offsets[i + 1]]`.

    values: [total] int64 or text; offsets: int64 [n + 1]. weights: float64 [total], at least 0, by which the values are
    averaged; None: all alike.
    """

    values: np.ndarray
    offsets: np.ndarray
    weights: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1


Column: TypeAlias = np.ndarray | ListColumn
EventKind: TypeAlias = Literal["exposure", "click", "example"]


def constant(value: Any, n: int, dtype: Any = None) -> np.ndarray:
    """A column of `n` equal values that takes the memory of one.

    >>> constant("control", 3).tolist(), constant("control", 3).strides
    (['control', 'control', 'control'], (0,))
    """
    return _repeated(np.asarray(value, dtype=dtype), n)


def _repeated(one: np.ndarray, n: int) -> np.ndarray:
    """`np.broadcast_to` of a single value, at a fifth of its cost: a tick makes dozens of these."""
    if one.dtype.hasobject:
        return np.broadcast_to(one, (n,))
    column: np.ndarray = np.ndarray((n,), one.dtype, one.copy(), 0, (0,))
    column.flags.writeable = False
    return column


def is_constant(column: Column) -> bool:
    """Whether the column is a zero-stride view made by `constant` (not: whether its values happen to be equal)."""
    return isinstance(column, np.ndarray) and column.strides == (0,) and len(column) > 0


def take_column(column: Column, rows: np.ndarray) -> Column:
    """The column at `rows` (indices, or a boolean mask); constants stay constants."""
    if isinstance(column, ListColumn):
        index = np.flatnonzero(rows) if rows.dtype == bool else rows
        starts, lengths = column.offsets[index], np.diff(column.offsets)[index]
        offsets = np.concatenate(([0], np.cumsum(lengths)))
        within = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
        at = np.repeat(starts, lengths) + within
        return ListColumn(column.values[at], offsets, None if column.weights is None else column.weights[at])
    if is_constant(column):
        n = int(np.count_nonzero(rows)) if rows.dtype == bool else len(rows)
        return _repeated(column[:1].reshape(()), n)
    return column[rows]


def part_column(column: Column, rows: slice) -> Column:
    """Consecutive rows of the column, without a copy of its values."""
    if isinstance(column, ListColumn):
        start, stop, _ = rows.indices(len(column))
        offsets = column.offsets[start : stop + 1]
        at = slice(offsets[0], offsets[-1])
        weights = None if column.weights is None else column.weights[at]
        return ListColumn(column.values[at], offsets - offsets[0], weights)
    return column[rows]


def concat_columns(columns: Sequence[Column]) -> Column:
    """The columns one after the other; equal constants stay a constant."""
    if isinstance(columns[0], ListColumn):
        lists = [c for c in columns if isinstance(c, ListColumn)]
        lengths = np.concatenate([np.diff(c.offsets) for c in lists])
        offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
        weights = None
        if any(c.weights is not None for c in lists):
            weights = np.concatenate([np.ones(len(c.values)) if c.weights is None else c.weights for c in lists])
        return ListColumn(np.concatenate([c.values for c in lists]), offsets, weights)
    arrays = [c for c in columns if isinstance(c, np.ndarray)]
    filled = [c for c in arrays if len(c)]
    if filled and all(is_constant(c) for c in filled) and all(c[0] == filled[0][0] for c in filled):
        return _repeated(filled[0][:1].reshape(()), sum(map(len, filled)))
    return np.concatenate(arrays)


class Batch:
    """What every batch shares: length, selection of rows, concatenation. Columns are the dataclass's fields."""

    __slots__ = ()

    def __len__(self) -> int:
        return len(self.exposure_id)  # type: ignore[attr-defined]

    def take(self, rows: np.ndarray) -> Self:
        """The batch at `rows`: int indices or a boolean mask [n]."""
        return type(self)(*(_take_any(getattr(self, f.name), rows) for f in fields(self)))  # type: ignore[arg-type]

    def part(self, rows: slice) -> Self:
        """The batch at consecutive rows, without a copy."""
        return type(self)(*(_part_any(getattr(self, f.name), rows) for f in fields(self)))  # type: ignore[arg-type]

    @classmethod
    def concat(cls, batches: Sequence[Self]) -> Self:
        """The batches one after the other. Raises ValueError when there is none, or their features differ."""
        if not batches:
            raise ValueError("concat: got no batch, need at least one (an empty one will do)")
        if len(batches) == 1:
            return batches[0]
        lengths = [len(b) for b in batches]
        return cls(*(_concat_any(f.name, [getattr(b, f.name) for b in batches], lengths) for f in fields(cls)))  # type: ignore[arg-type]


def _take_any(value: Any, rows: np.ndarray) -> Any:
    if value is None:
        return None
    if isinstance(value, Mapping):
        return {name: take_column(column, rows) for name, column in value.items()}
    if isinstance(value, Batch):
        return value.take(rows)
    return take_column(value, rows)


def _part_any(value: Any, rows: slice) -> Any:
    if isinstance(value, Mapping):
        return {name: part_column(column, rows) for name, column in value.items()}
    if isinstance(value, Batch):
        return value.part(rows)
    return None if value is None else part_column(value, rows)


def _concat_any(name: str, values: list[Any], lengths: Sequence[int]) -> Any:
    if any((v is None) != (values[0] is None) for v in values):
        if name not in LEFT_OUT:
            raise ValueError(f"concat: {name} is present in some batches and absent in others")
        values = [constant(LEFT_OUT[name], n) if v is None else v for v, n in zip(values, lengths, strict=True)]
    first = values[0]
    if first is None:
        return None
    if isinstance(first, Mapping):
        if any(v.keys() != first.keys() for v in values):
            raise ValueError(f"concat: the batches' features differ: {sorted({*map(tuple, values)})}")
        return {key: concat_columns([v[key] for v in values]) for key in first}
    if isinstance(first, Batch):
        return type(first).concat(values)
    return concat_columns(values)


@dataclass(frozen=True, slots=True)
class ExposureBatch(Batch):
    """Items shown at positions, stamped with the pCTR of the model that served them. Every array is [n]."""

    request_id: np.ndarray  # int64 or text
    exposure_id: np.ndarray  # int64 or text; unique, and the join key
    event_time_ms: np.ndarray  # int64, when it was served
    user_id: np.ndarray  # int64 or text
    item_id: np.ndarray  # int64 or text
    arm: np.ndarray  # text
    position: np.ndarray  # int32, 0 is the top of the slate
    n_candidates: np.ndarray  # int32, out of how many the slate was chosen
    model_name: np.ndarray  # text
    model_version: np.ndarray  # int64, rises
    pctr: np.ndarray  # float64 in [0, 1]
    propensity: np.ndarray  # float64 in (0, 1], NaN where unknown
    features: Mapping[str, Column]
    weight: np.ndarray | None = None  # float64 above 0: how often the row counts in losses and metrics; None: once


@dataclass(frozen=True, slots=True)
class ClickBatch(Batch):
    """Clicks on exposures. Every array is [n]."""

    exposure_id: np.ndarray  # int64 or text
    event_time_ms: np.ndarray  # int64, of the exposure
    click_time_ms: np.ndarray  # int64
    arm: np.ndarray | None = None  # text


@dataclass(frozen=True, slots=True)
class ExampleBatch(Batch):
    """Exposures with their labels. Every array is [n]."""

    exposures: ExposureBatch
    label: np.ndarray  # uint8, 0 or 1
    label_time_ms: np.ndarray  # int64: when the label became known
    status: np.ndarray  # uint8: EXPIRED or CLICKED

    @property
    def exposure_id(self) -> np.ndarray:
        return self.exposures.exposure_id


@dataclass(frozen=True, slots=True)
class Mark:
    """Ends a tick in one partition: no event of an earlier time follows it there."""

    tick: int
    watermark_ms: int


AnyBatch: TypeAlias = ExposureBatch | ClickBatch | ExampleBatch


def check(batch: AnyBatch | Mark) -> None:
    """Raise EventError where a row breaks the event contract, naming the first such row's field and value."""
    if isinstance(batch, ExposureBatch):
        _require("pctr", batch.pctr, (batch.pctr >= 0) & (batch.pctr <= 1), "finite and in [0, 1]")
        unknown = np.isnan(batch.propensity)
        _require(
            "propensity",
            batch.propensity,
            unknown | ((batch.propensity > 0) & (batch.propensity <= 1)),
            "in (0, 1] or null",
        )
        _require("position", batch.position, batch.position >= 0, ">= 0")
        _require("n_candidates", batch.n_candidates, batch.n_candidates >= 1, ">= 1")
        _require("model_version", batch.model_version, batch.model_version >= 0, ">= 0")
        if (weight := batch.weight) is not None:
            _require("weight", weight, (weight > 0) & (weight <= LARGEST_NUMBER), WEIGHT_RULE)
        _require_time("event_time_ms", batch.event_time_ms)
        for name, column in batch.features.items():
            if isinstance(column, np.ndarray) and column.dtype.kind == "f":
                # One pass over the numbers, as `isfinite` alone would be.
                _require(f"features.{name}", column, np.abs(column) <= LARGEST_NUMBER, "finite as a float32")
            if isinstance(column, ListColumn) and column.values.dtype.kind not in "iuOU":
                raise EventError(f"features.{name}: a list of {column.values.dtype}, must hold integers or texts")
            if isinstance(column, ListColumn) and column.weights is not None:
                check_list_weights(f"features.{name}", column.weights)
    elif isinstance(batch, ClickBatch):
        _require_time("event_time_ms", batch.event_time_ms)
        _require_time("click_time_ms", batch.click_time_ms)
    elif isinstance(batch, Mark):
        _require_time("watermark_ms", np.array([batch.watermark_ms]))
        _require("tick", np.array([batch.tick]), np.array([0 <= batch.tick < 1 << 62]), "in [0, 2^62)")
    else:
        check(batch.exposures)
        _require("label", batch.label, batch.label <= 1, "0 or 1")
        _require_time("label_time_ms", batch.label_time_ms)


def check_list_weights(name: str, weights: np.ndarray) -> None:
    """Raise EventError where the weights of a list's values, floats [total], are none."""
    if not (weights.min(initial=0) >= 0 and weights.max(initial=0) <= LARGEST_NUMBER):  # NaN fails too
        wrong = weights[~((weights >= 0) & (weights <= LARGEST_NUMBER))][0]
        raise EventError(
            f"{name}: got the weight {wrong}, must be at least 0 and finite as a float32, for values are averaged by it"
        )


def _require_time(name: str, values: np.ndarray) -> None:
    # min and max, which need no array of their own.
    if len(values) and not -LATEST_MS <= values.min() <= values.max() <= LATEST_MS:
        wrong = (values < -LATEST_MS) | (values > LATEST_MS)
        hint = "; nanoseconds?" if int(values[wrong][0]) > 0 else ""
        _require(name, values, ~wrong, f"within {LATEST_MS:,} ms of 1970{hint}")


def _require(name: str, values: np.ndarray, holds: np.ndarray, rule: str) -> None:
    if not holds.all():
        row = int(np.argmin(holds))
        raise EventError(f"{name}: got {values[row]} in row {row}, must be {rule}")
