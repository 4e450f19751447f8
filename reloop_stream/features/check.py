"""What comes from outside, checked before compiled code reads it: lengths, types, ranges, and that numbers are numbers.

Compiled code tests no index: what is wrong there is another process's memory read as a weight, or the end of the process.
So a column is checked where it becomes rows of a table (`Encoder`), and what no encoder sees is checked by those who are
called: `Scorer`, `Scores.exposures`, a model's `score_candidates`, a learner's `learn`. A column of integers costs under a
microsecond whatever its length, one of floats a pass, one of texts a fraction of hashing them, candidates two passes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from numbers import Real
from typing import Any

import numpy as np

from reloop_stream.config import FieldConfig
from reloop_stream.errors import EventError
from reloop_stream.events import (
    LARGEST_NUMBER,
    WEIGHT_RULE,
    Column,
    ExampleBatch,
    ExposureBatch,
    ListColumn,
    check_list_weights,
    is_constant,
)

__all__ = [
    "check_candidates",
    "check_column",
    "check_columns",
    "check_examples",
    "check_number",
    "check_row",
    "encodes",
    "fitting",
    "is_plain",
    "is_real",
    "rows_of",
]

INT64 = np.iinfo(np.int64)
# The kinds of numpy's types of an example's columns; those of ids and texts are not named.
KINDS = {
    **dict.fromkeys(("event_time_ms", "position", "n_candidates", "model_version"), "iu"),
    **dict.fromkeys(("label", "label_time_ms", "status"), "iu"),
    **dict.fromkeys(("pctr", "propensity", "weight"), "f"),
}
NUMBER_RULE = "a finite number that fits 32 bits"


def check_columns(features: Mapping[str, Column], what: str = "features") -> int:
    """How many rows the columns have. Raises EventError where no model would take them, whatever its fields."""
    n = rows_of(features, what)
    for name, column in features.items():
        if not isinstance(name, str):
            raise EventError(f"{what}: got the name {name!r}, names must be texts")
        check_column(f"features.{name}", column, n)
    return n


def rows_of(features: Mapping[str, Column], what: str = "features") -> int:
    """How many rows the first column has. Raises EventError where there is none."""
    if not isinstance(features, Mapping):
        raise EventError(f"{what}: got {_type(features)}, must map names to columns")
    if not features:
        raise EventError(f"{what}: got no column, need at least one to say how many rows there are")
    name, column = next(iter(features.items()))
    return _rows(f"features.{name}", column)


def check_column(name: str, column: Column, n: int, allowed: str = "iufUO", rule: str = "") -> None:
    """Raise EventError where a column does not have n rows, or holds what no event may.

    allowed: the kinds of numpy's types that it may have; rule: these in words.
    """
    if (found := _rows(name, column)) != n:
        raise EventError(f"{name}: has {found} rows, must have {n} as the other columns have")
    values = column.values if isinstance(column, ListColumn) else column
    kind = values.dtype.kind
    if isinstance(column, ListColumn):
        allowed = allowed.replace("f", "")
        _check_offsets(name, column)
        _check_weights(name, column)
    if kind not in allowed:
        raise EventError(
            f"{name}: got values of numpy kind {kind!r}, must be {rule or 'integers, floats, texts, or lists of integers or texts'}"
        )
    if kind == "f":
        # Compared as Python's floats (in half precision the bound would be infinite); NaN fails too.
        if not (float(values.min(initial=0)) >= -LARGEST_NUMBER and float(values.max(initial=0)) <= LARGEST_NUMBER):
            row = int(np.argmin(np.abs(values.astype(np.float64)) <= LARGEST_NUMBER))
            raise EventError(f"{name}: got {values[row]} in row {row}, must be {NUMBER_RULE}")
    elif kind == "u":
        if values.dtype.itemsize == 8 and values.max(initial=0) > INT64.max:
            raise EventError(f"{name}: got {values.max()}, integers must be at most {INT64.max}")
    elif kind in "UO":
        _check_texts(name, values)


def _rows(name: str, column: Any) -> int:
    if column is None:
        raise EventError(f"{name}: missing")
    values = column.offsets if isinstance(column, ListColumn) else column
    if not is_plain(values):
        wanted = "its offsets must be" if isinstance(column, ListColumn) else "must be a ListColumn or"
        raise EventError(f"{name}: got {_type(values)}, {wanted} a numpy array")
    if values.ndim != 1:
        raise EventError(f"{name}: has {values.ndim} dimensions, must have one")
    if isinstance(column, ListColumn) and not len(values):
        raise EventError(f"{name}: got no offsets, there must be one more than rows")
    return len(column)


def is_plain(values: Any) -> bool:
    """Whether it is numpy's array; a masked one is not: what is masked would be read."""
    return isinstance(values, np.ndarray) and not isinstance(values, np.ma.MaskedArray)


def _check_offsets(name: str, column: ListColumn) -> None:
    values, offsets = column.values, column.offsets
    if not is_plain(values) or values.ndim != 1:
        raise EventError(f"{name}: the values of its lists must be a numpy array of one dimension")
    if offsets.dtype.kind not in "iu":
        raise EventError(f"{name}: got offsets of {offsets.dtype}, must be integers")
    # Signed, for the difference of two unsigned ones is never below zero.
    falls = np.diff(offsets.astype(np.int64)) < 0
    if offsets[0] != 0 or offsets[-1] != len(values) or falls.any():
        raise EventError(
            f"{name}: its lists' offsets must rise from 0 to {len(values)}, the number of its values; "
            f"got {offsets[0]} to {offsets[-1]}{', falling in between' if falls.any() else ''}"
        )


def _check_weights(name: str, column: ListColumn) -> None:
    weights = column.weights
    if weights is None:
        return
    if not is_plain(weights) or weights.shape != column.values.shape or weights.dtype.kind not in "iuf":
        found = f"{weights.dtype} {weights.shape}" if is_plain(weights) else _type(weights)
        raise EventError(f"{name}: got weights of {found}, must be an array of numbers, one for each value")
    check_list_weights(name, weights)


def _check_texts(name: str, values: np.ndarray) -> None:
    texts = (values[:1] if is_constant(values) else values).tolist()
    if not set(map(type, texts)) <= {str}:
        row = next((row for row, text in enumerate(texts) if not isinstance(text, str)), None)
        if row is not None:
            raise EventError(
                f"{name}: got {str(texts[row])[:50]} ({type(texts[row]).__name__}) in row {row}; a column of objects "
                "must hold texts alone, and integers belong into one of integers"
            )
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        row = next(row for row, text in enumerate(texts) if not encodes(text))
        raise EventError(f"{name}: got {ascii(texts[row])[:50]} in row {row}, which UTF-8 cannot write") from None


def encodes(text: str) -> bool:
    """Whether a text can be written as UTF-8; half of a surrogate pair cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _type(value: Any) -> str:
    return f"a value of type {type(value).__name__}"


def fitting(field: FieldConfig, column: Column | None, n: int) -> Column:
    """The column, if it has n rows and is what the field needs. Raises EventError."""
    name = f"features.{field.name}"
    if column is None:
        raise EventError(f"{name}: missing; the model has this field")
    is_list = isinstance(column, ListColumn)
    if is_list != (field.kind == "list"):
        found = "a list" if is_list else "a single value"
        raise EventError(f"{name}: got {found}, the model's field is a {field.kind}")
    if field.kind == "number":
        allowed, rule = "iuf", "a number"
    elif field.mode == "exact":
        allowed, rule = "iu", "an integer (mode: exact)"
    else:
        allowed, rule = "iuUO", "an integer or a text"
    check_column(name, column, n, allowed, rule)
    return column


def check_candidates(candidates: np.ndarray, requests: int, items: int) -> np.ndarray:
    """The candidates as int64 [requests, K], each a row of the items. Raises EventError where they are not."""
    plain = is_plain(candidates)
    if not plain or candidates.dtype.kind not in "iu":
        found = f"an array of {candidates.dtype}" if plain else _type(candidates)
        raise EventError(f"candidates: got {found}, must be an array of integers [requests, candidates]")
    if candidates.ndim != 2 or len(candidates) != requests:
        raise EventError(f"candidates: has shape {candidates.shape}, must be [{requests}, K], a row for each request")
    if candidates.size and not (candidates.min() >= 0 and candidates.max() < items):
        at = np.argwhere((candidates < 0) | (candidates >= items))[0]
        raise EventError(
            f"candidates: got {candidates[tuple(at)]} for request {at[0]}, there are {items} items and the first is 0"
        )
    return np.ascontiguousarray(candidates, dtype=np.int64)


def check_examples(examples: ExampleBatch, foreign: np.ndarray | None) -> None:
    """Raise EventError where a learner cannot learn the examples; their features are the encoder's to check."""
    if not isinstance(examples, ExampleBatch) or not isinstance(examples.exposures, ExposureBatch):
        raise EventError(f"examples: got {_type(examples)}, must be an ExampleBatch of exposures")
    exposures = examples.exposures
    n = _rows("exposure_id", exposures.exposure_id)
    for batch in (examples, exposures):
        for field in fields(batch):
            column = getattr(batch, field.name)
            if field.name not in ("exposures", "features") and not (field.name == "weight" and column is None):
                _check_plain(field.name, column, n, KINDS.get(field.name, "iuUO"))
    if (found := rows_of(exposures.features)) != n:
        raise EventError(f"features: have {found} rows, must have {n} as exposure_id has")
    label, pctr = examples.label, exposures.pctr
    if label.max(initial=0) > 1 or label.min(initial=0) < 0:
        raise EventError(f"label: got {label.min()} to {label.max()}, must be 0 or 1")
    if not (pctr.min(initial=0) >= 0 and pctr.max(initial=0) <= 1):  # NaN fails too
        raise EventError(f"pctr: got {pctr.min()} to {pctr.max()}, must be in [0, 1]")
    weight = exposures.weight
    if weight is not None and not (weight.min(initial=1) > 0 and weight.max(initial=1) <= LARGEST_NUMBER):
        raise EventError(f"weight: got {weight.min()} to {weight.max()}, must be {WEIGHT_RULE}")
    if foreign is not None:
        _check_plain("foreign", foreign, n, "b")


def _check_plain(name: str, column: Any, n: int, kinds: str) -> None:
    if isinstance(column, ListColumn):
        raise EventError(f"{name}: got lists, must have one value a row")
    if (found := _rows(name, column)) != n:
        raise EventError(f"{name}: has {found} rows, must have {n} as exposure_id has")
    if column.dtype.kind not in kinds:
        raise EventError(f"{name}: got values of numpy kind {column.dtype.kind!r}, must be of {' or '.join(kinds)}")


def check_number(name: str, value: Any) -> None:
    """Raise EventError where a single value is no number that a model can hold."""
    if not (is_real(value) and -LARGEST_NUMBER <= value <= LARGEST_NUMBER):  # NaN fails
        raise EventError(f"{name}: got {str(value)[:50]} ({type(value).__name__}), must be {NUMBER_RULE}")


def is_real(value: Any) -> bool:
    """Whether a single value is a number; True and False are."""
    return isinstance(value, (int, float, np.bool_, Real))


def check_row(x: Mapping[Any, Any]) -> None:
    """Raise EventError where a row of features, as river has them, is no dictionary."""
    if not isinstance(x, Mapping):
        raise EventError(f"x: got {_type(x)}, must be a dictionary of features")
