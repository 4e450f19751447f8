"""The cells of a table as what the stream holds: ids, features, labels; or an error that names the cell."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from reloop_stream.events import Column, ListColumn
from simulator.datasets.column_types import ColumnTypes, Evidence, Use
from simulator.datasets.config import ColumnConfig, LabelConfig
from simulator.datasets.rejects import BadRows
from simulator.datasets.table import Table, is_list, is_text, is_whole
from simulator.datasets.words import INTEGER, MISSING, NUMBER, PLAIN, Words

__all__ = ["features", "ids", "integers", "labels", "numbers", "probabilities", "texts", "weights"]


BOOLEANS = {"true": 1, "false": 0}


def _integers(column: pa.ChunkedArray) -> np.ndarray | None:
    """Texts of which each is an integer as one writes it, as int64; None where one is not."""
    try:
        values = column.cast(pa.int64())
    except pa.ArrowException:
        return None
    # `007`, `-0` and `0x1f` are read as numbers too, and are not what comes back. Costs 0.1 s a million rows.
    return np.asarray(values.to_numpy()) if pc.all(pc.equal(values.cast(column.type), column)).as_py() else None


def _whole(table: Table, name: str, column: pa.ChunkedArray) -> np.ndarray:
    if pa.types.is_unsigned_integer(column.type):
        too_big = pc.greater(column.cast(pa.uint64()), pa.scalar(2**63 - 1, pa.uint64()))
        if pc.any(too_big).as_py():
            rule = "which does not fit into 64 signed bits; write the column as text"
            rows = np.flatnonzero(too_big.to_numpy())
            raise table.bad_rows(name, rows, lambda row: f"holds {column[row]} in {{place}}, {rule}")
    return np.asarray(column.cast(pa.int64()).to_numpy())


def _floats(table: Table, name: str, column: pa.ChunkedArray) -> np.ndarray:
    values = np.asarray(column.cast(pa.float64()).to_numpy())
    if not (finite := np.isfinite(values)).all():
        rule = "every row must have a finite number there"
        rows = np.flatnonzero(~finite)
        raise table.bad_rows(name, rows, lambda row: f"holds {values[row]} in {{place}}; {rule}")
    return values


def _refuse_times(table: Table, name: str, column: pa.ChunkedArray) -> None:
    if pa.types.is_temporal(column.type):
        raise table.error(
            name, f"holds times ({column.type}), which only data.time may; write it as a number or a text"
        )


def ids(table: Table, column: ColumnConfig, types: ColumnTypes) -> np.ndarray:
    """int64, or texts as written: `007` and `7` are two. Raises DataError for numbers with a point, and what is beyond int64."""
    return _values(table, column, types, "id")


def _values(table: Table, chosen: ColumnConfig, types: ColumnTypes, use: Use) -> np.ndarray:
    """The values of a column as the type that it is said to have, or, in a file of texts, that its texts say."""
    name = chosen.column
    # An empty text is a value where it is said to stand for itself.
    column = table.column(name, chosen.missing, may_be_empty=chosen.missing == "")
    _refuse_times(table, name, column)
    if chosen.type == "number" or use == "number":
        return _check_float32(table, name, _numbers(table, name, column, "must be a number", chosen.missing))
    if not is_text(column):
        return _typed_values(table, name, column, chosen.type, use)
    if chosen.type == "integer":
        found = _integers(column)
        return Words.of(table, name, column).integers() if found is None else found
    if chosen.type == "text" or table.is_typed:
        return _texts(table, name, column, use)
    return _inferred(table, name, column, types, use)


def _texts(table: Table, name: str, column: pa.ChunkedArray, use: Use) -> np.ndarray:
    words = Words.of(table, name, column)
    if use == "id":
        words.refuse_spaces()
    return words.texts()


def _inferred(table: Table, name: str, column: pa.ChunkedArray, types: ColumnTypes, use: Use) -> np.ndarray:
    """The values of a column of texts, as all its texts together say."""
    taken_for = types.of(name, use)
    if taken_for == "integer" and (values := _integers(column)) is not None:
        return values
    words = Words.of(table, name, column)
    if use == "id":
        words.refuse_spaces()
    if types.is_open(name):
        types.add(name, words.evidence(), use)
    if types.is_final:
        _refuse_undecided(words, types.found(name), use)
    if taken_for == "number":
        return _check_float32(table, name, words.numbers("must be a number"))
    return words.texts()


def _refuse_undecided(words: Words, found: Evidence, use: Use) -> None:
    """Raise DataError for a text that the others make a mistake."""
    if Evidence.WORD in found:
        return
    if Evidence.NUMBER in found or Evidence.MISSING in found:
        words.refuse(
            pc.invert(words.match(NUMBER)),
            "holds {text} in {place} among numbers; every row must have a finite number there",
        )
        if use == "id":
            words.refuse(
                pc.invert(words.match(INTEGER)),
                "holds the number {text} in {place}, ids are integers or texts; write it without a point, or say type: "
                "integer (`12.0` is 12) or type: text",
            )
        if use == "category":
            words.refuse(
                pc.invert(words.match(INTEGER)),
                "holds numbers ({text} in {place}), the model's field is a category or list of integers or texts; say kind: "
                "number, or write integers",
            )
    else:
        words.refuse_big("put a letter before each, as in 'u123', or say type: text")


def _typed_values(table: Table, name: str, column: pa.ChunkedArray, wanted: str | None, use: Use) -> np.ndarray:
    """Of a column of numbers."""
    if wanted == "text":
        return Words.of(table, name, column.cast(pa.string())).texts()
    if is_whole(column):
        return _whole(table, name, column)
    if use == "id" and wanted is None:
        raise table.error(name, f"holds {column.type} ({column[0]} in {{place}}), ids are integers or texts", 0)
    values = _floats(table, name, column)
    if wanted is None and use == "plain":
        return _check_float32(table, name, values)
    if (odd := values != np.floor(values)).any() or (np.abs(values) >= 2.0**63).any():
        rows = np.flatnonzero(odd | (np.abs(values) >= 2.0**63))
        if wanted is None:
            rule = "the model's field is a category or list of integers or texts; say kind: number, or write integers"
            raise table.bad_rows(name, rows, lambda row: f"holds numbers ({values[row]} in {{place}}), {rule}")
        raise table.bad_rows(name, rows, lambda row: f"holds {values[row]} in {{place}}, must be an integer")
    return values.astype(np.int64) if wanted == "integer" else _check_float32(table, name, values)


def integers(table: Table, name: str) -> np.ndarray:
    """int64, of integers written as one writes them. Raises DataError."""
    column = table.column(name)
    _refuse_times(table, name, column)
    if is_whole(column):
        return _whole(table, name, column)
    if not is_text(column):
        raise table.error(name, f"holds {column.type} ({column[0]} in {{place}}), must be an integer", 0)
    if (values := _integers(column)) is not None:
        return values
    words = Words.of(table, name, column)
    words.refuse(pc.invert(words.match(PLAIN)), "holds {text} in {place}, must be an integer")
    words.refuse_big("write it as text")
    return words.integers()


def numbers(table: Table, name: str, needs: str, missing: float | str | None = None) -> np.ndarray:
    """int64 or float64, all finite. needs: who needs them, for the message. Raises DataError."""
    column = table.column(name, missing)
    _refuse_times(table, name, column)
    return _numbers(table, name, column, needs, missing)


def _numbers(
    table: Table, name: str, column: pa.ChunkedArray, needs: str, missing: float | str | None = None
) -> np.ndarray:
    if is_whole(column):
        return _whole(table, name, column)
    if not is_text(column):
        return _floats(table, name, column)
    if missing is not None:
        gap = pc.is_in(pc.utf8_lower(column), value_set=pa.array(MISSING))
        column = pc.if_else(gap, pa.scalar(f"{missing}", column.type), column)
    values = _integers(column)
    return Words.of(table, name, column).numbers(needs) if values is None else values


def texts(table: Table, name: str) -> np.ndarray:
    """Texts as written, also empty ones. Raises DataError."""
    return Words.of(table, name, table.column(name, may_be_empty=True)).texts()


def features(table: Table, chosen: ColumnConfig, types: ColumnTypes, kind: str | None) -> Column:
    """Integers as int64, numbers as float64, everything else as text; lists of them. kind: of the model's field, where it has one.

    Raises DataError where the model cannot take it.
    """
    if chosen.list_of is not None or is_list(table.columns[chosen.column]):
        return _lists(table, chosen, types)
    uses: dict[str | None, Use] = {None: "plain", "number": "number", "category": "category", "list": "category"}
    return _values(table, chosen, types, uses[kind])


def _lists(table: Table, chosen: ColumnConfig, types: ColumnTypes) -> ListColumn:
    """Several values a row: of a Parquet list, or of a text that a mark divides. An empty text is no value."""
    name, column = chosen.column, table.columns[chosen.column]
    if not is_list(column):
        column = table.column(name, "", may_be_empty=True)
        if not is_text(column):
            raise table.error(name, f"holds {column.type}, list_of divides texts; leave it out")
        parts = pc.split_pattern(column, chosen.list_of)
        parts = pc.if_else(pc.equal(column, ""), pa.scalar([], parts.type), parts)
    else:
        parts = pc.if_else(pc.is_null(column), pa.scalar([], column.type), column)
    offsets = np.concatenate(([0], np.cumsum(pc.list_value_length(parts).to_numpy()))).astype(np.int64)
    row_of = np.repeat(np.arange(len(table)), np.diff(offsets))
    values = pa.chunked_array([pc.list_flatten(parts).combine_chunks()])
    flat = Table(table.name, {name: values}, lambda at: table.place(int(row_of[at])), table.is_typed)
    if not len(values):
        return ListColumn(np.zeros(0, dtype=object if is_text(values) else np.int64), offsets)
    try:
        found = _values(flat, chosen, types, "category")
    except BadRows as error:
        bad = error
        # The first bad value of a row speaks for it.
        rows, first = np.unique(row_of[bad.rows], return_index=True)
        value_of = dict(zip(rows.tolist(), bad.rows[first].tolist(), strict=True))
        raise BadRows(rows, lambda row: bad.said(value_of[row])) from None
    return ListColumn(found, offsets, None if chosen.weights is None else _list_weights(table, chosen, offsets))


def _list_weights(table: Table, chosen: ColumnConfig, offsets: np.ndarray) -> np.ndarray:
    """float64, as many as the list has values. Raises DataError."""
    assert chosen.weights is not None
    weights = ColumnConfig(column=chosen.weights, type="number", list_of=chosen.list_of)
    found = _lists(table, weights, ColumnTypes())
    if (unequal := np.diff(found.offsets) != np.diff(offsets)).any():
        rule = f"has not as many weights as {chosen.column!r} has values in {{place}}"
        raise table.bad_rows(chosen.weights, np.flatnonzero(unequal), lambda _: rule)
    values = found.values.astype(np.float64)
    if (bad := values < 0).any():
        row_of = np.repeat(np.arange(len(table)), np.diff(offsets))
        raise table.bad_rows(chosen.weights, np.unique(row_of[bad]), lambda _: "holds a weight below 0 in {place}")
    return values


def _check_float32(table: Table, name: str, values: np.ndarray) -> np.ndarray:
    """The values, where a model can hold them. Raises DataError naming the first that it cannot."""
    with np.errstate(over="ignore"):
        fits = np.isfinite(values.astype(np.float32))
    if not fits.all():
        rows, rule = np.flatnonzero(~fits), "a model's numbers end at 3.4e38 (float32)"
        raise table.bad_rows(name, rows, lambda row: f"holds {values[row]:g} in {{place}}, {rule}")
    return values


def weights(table: Table, name: str) -> np.ndarray:
    """float64 above 0. Raises DataError."""
    values = numbers(table, name, "data.weight needs numbers").astype(np.float64)
    if (bad := values <= 0).any():
        rows = np.flatnonzero(bad)
        raise table.bad_rows(name, rows, lambda row: f"holds {values[row]:g} in {{place}}, a weight must be above 0")
    return values


def probabilities(table: Table, name: str, *, may_be_zero: bool = False) -> np.ndarray:
    """float64 in (0, 1], or [0, 1]. Raises DataError."""
    values = numbers(table, name, "a probability is a number").astype(np.float64)
    bad = (values > 1) | (values < 0) | ((values == 0) & (not may_be_zero))
    if bad.any():
        if may_be_zero:
            rule = "a probability lies in [0, 1]"
        else:
            rule = "the probability of what was logged lies in (0, 1]: it could not have happened at 0; leave such rows out"
        raise table.bad_rows(name, np.flatnonzero(bad), lambda row: f"holds {values[row]:g} in {{place}}, {rule}")
    return values


def labels(table: Table, rule: LabelConfig) -> np.ndarray:
    """uint8: which rows are clicks by the rule. Raises DataError where the rule and the column do not fit."""
    name, wanted = rule.column, rule.equals
    if rule.at_least is not None:
        return (numbers(table, name, "data.label.at_least needs numbers") >= rule.at_least).astype(np.uint8)
    column = table.column(name)
    if isinstance(wanted, str):
        _refuse_times(table, name, column)
        if not is_text(column):
            raise table.error(name, f"holds numbers, data.label.equals is the text {wanted!r}; write it without quotes")
        words = Words.of(table, name, column)
        words.refuse_spaces()
        return np.asarray(pc.equal(words.different, wanted))[words.index].astype(np.uint8)
    if wanted is None and is_text(column):
        words = Words.of(table, name, column)
        found = [BOOLEANS.get(text.lower()) for text in words.different.to_pylist()]
        if None not in found:
            return np.array(found, dtype=np.uint8)[words.index]
    number = 1 if wanted is None else wanted
    needs = f"data.label.equals is the number {number:g} (a text is written in quotes: equals: 'yes')"
    return (numbers(table, name, needs) == number).astype(np.uint8)
