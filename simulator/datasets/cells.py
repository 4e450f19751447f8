"""The cells of a table as what the stream holds: ids, features, labels; or an error that names the cell."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from simulator.datasets.config import LabelConfig
from simulator.errors import DataError

__all__ = ["Table", "check_float32", "features", "ids", "integers", "labels", "numbers", "only", "texts"]

INT64_MAX = 2**63 - 1
INTEGER = r"^[+-]?[0-9]+$"
NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
# How programs write that there is no number. Among numbers they are gaps; among texts they may be words.
MISSING = {"na", "n/a", "#n/a", "nan", "null", "none", "nil", "\\n", "-", "?", "inf", "-inf", "infinity", "-infinity"}
BOOLEANS = {"true": 1, "false": 0}


@dataclass(frozen=True)
class Table:
    """Columns of a file. name: of the file. place: where a row lies in it.

    is_typed: whether a text is meant as one, as in Parquet; in CSV everything is written as text.
    """

    name: str
    columns: Mapping[str, pa.ChunkedArray]
    place: Callable[[int], str]
    is_typed: bool

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def error(self, column: str, message: str, row: int | None = None) -> DataError:
        """A DataError about a column; `{place}` in the message is the row's."""
        said = message if row is None else message.replace("{place}", self.place(row))
        return DataError(f"{self.name}: column {column!r} {said}")

    def column(self, name: str) -> pa.ChunkedArray:
        """A column without gaps, of integers, floats, truth values, times or UTF-8 texts. Raises DataError."""
        column = self.columns[name]
        try:
            kind = column.type
            if pa.types.is_dictionary(kind):
                column, kind = column.cast(kind.value_type), kind.value_type
            if pa.types.is_decimal(kind):
                column = column.cast(pa.float64() if kind.scale > 0 else pa.int64())
            elif pa.types.is_string_view(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
                column = column.cast(pa.string())
            elif self.is_typed and is_text(column):
                column.validate(full=True)  # Parquet promises UTF-8, and does not check it
        except pa.ArrowException as error:
            raise self.error(name, f"cannot be read: {error}; write it as UTF-8 text, or as numbers") from None
        if column.null_count:
            row = pc.index(pc.is_null(column), True).as_py()
            raise self.error(name, "is empty in {place}; every row must have a value", row)
        kind = column.type
        if not (is_text(column) or is_whole(column) or pa.types.is_floating(kind) or pa.types.is_temporal(kind)):
            raise self.error(name, f"holds values of type {kind}; write it as numbers or as text")
        return column


def is_text(column: pa.ChunkedArray) -> bool:
    return bool(pa.types.is_string(column.type) or pa.types.is_large_string(column.type))


def is_whole(column: pa.ChunkedArray) -> bool:
    return bool(pa.types.is_integer(column.type) or pa.types.is_boolean(column.type))


def only(name: str, header: Sequence[str], column: str, hint: str = "") -> int:
    """Where a column stands among a file's. Raises DataError where it is not there, or twice."""
    if column not in header:
        raise DataError(f"{name}: has no column {column!r}; it has {', '.join(header[:20])}{hint}")
    if header.count(column) > 1:
        raise DataError(f"{name}: has {header.count(column)} columns of the name {column!r}; give each its own name")
    return header.index(column)


@dataclass(frozen=True)
class _Words:
    """A column of texts as its different ones, and which of them each row has: each is looked at once."""

    table: Table
    name: str
    different: pa.Array
    index: np.ndarray

    @classmethod
    def of(cls, table: Table, name: str, column: pa.ChunkedArray, *, may_be_empty: bool = False) -> _Words:
        chunks = column.dictionary_encode().unify_dictionaries().chunks
        words = cls(table, name, chunks[0].dictionary, np.concatenate([chunk.indices.to_numpy() for chunk in chunks]))
        if not may_be_empty:
            words.refuse(pc.equal(words.different, ""), "is empty in {place}; every row must have a value")
        # numpy's text ends at it, so that two texts would be one.
        words.refuse(pc.match_substring(words.different, "\0"), "holds a zero character in {place}; remove it")
        return words

    def refuse(self, bad: pa.Array, message: str) -> None:
        """Raise DataError about the first row whose text is bad; `{text}` in the message is the text."""
        mask = np.asarray(bad)
        if mask.any():
            row = int(np.argmax(mask[self.index]))
            text = self.different[int(self.index[row])].as_py()
            raise self.table.error(self.name, message.replace("{text}", repr(text[:80])), row)

    def refuse_spaces(self) -> None:
        trimmed = pc.utf8_trim_whitespace(self.different)
        self.refuse(
            pc.not_equal(trimmed, self.different),
            "holds {text} in {place}; remove the spaces, which make it another value",
        )

    def match(self, pattern: str) -> pa.Array:
        return pc.match_substring_regex(self.different, pattern)

    def texts(self) -> np.ndarray:
        values = np.empty(len(self.different), dtype=object)
        values[:] = self.different.to_pylist()
        return np.asarray(values[self.index])

    def numbers(self, needs: str) -> np.ndarray:
        """float64. Raises DataError where a text is no number, or no finite one."""
        is_number = self.match(NUMBER)
        decimal = self.match(r"^[+-]?[0-9.]*,[0-9]+$")
        self.refuse(decimal, f"holds text, {needs}: {{text}} in {{place}}; write decimals with a point")
        self.refuse(pc.invert(is_number), f"holds text, {needs}: {{text}} in {{place}}")
        values = np.asarray(self.different.cast(pa.float64()))
        self.refuse(pa.array(~np.isfinite(values)), "holds {text} in {place}, which is beyond every number")
        return np.asarray(values[self.index])

    def typed(self) -> np.ndarray:
        """Numbers with a point as float64, else the texts as written: `007` stays one. For columns not all integers."""
        is_number, is_integer = self.match(NUMBER), self.match(INTEGER)
        if pc.all(is_integer).as_py():
            digits = [text.lstrip("+-").lstrip("0") for text in self.different.to_pylist()]
            big = [len(text) > 19 or int(text or 0) > INT64_MAX for text in digits]
            rule = "which does not fit into 64 bits; put a letter before each, as in 'u123'"
            self.refuse(pa.array(big), f"holds {{text}} in {{place}}, {rule}")
            return self.texts()
        others = pc.filter(self.different, pc.invert(is_number)).to_pylist()
        if all(text.lower() in MISSING for text in others):
            self.refuse(
                pc.invert(is_number), "holds {text} in {place} among numbers; every row must have a finite number there"
            )
            return self.numbers("")
        return self.texts()


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
            row = pc.index(too_big, True).as_py()
            rule = "which does not fit into 64 signed bits; write the column as text"
            raise table.error(name, f"holds {column[row]} in {{place}}, {rule}", row)
    return np.asarray(column.cast(pa.int64()).to_numpy())


def _floats(table: Table, name: str, column: pa.ChunkedArray) -> np.ndarray:
    values = np.asarray(column.cast(pa.float64()).to_numpy())
    if not (finite := np.isfinite(values)).all():
        row = int(np.argmin(finite))
        raise table.error(name, f"holds {values[row]} in {{place}}; every row must have a finite number there", row)
    return values


def _refuse_times(table: Table, name: str, column: pa.ChunkedArray) -> None:
    if pa.types.is_temporal(column.type):
        raise table.error(
            name, f"holds times ({column.type}), which only data.time may; write it as a number or a text"
        )


def ids(table: Table, name: str) -> np.ndarray:
    """int64, or texts as written: `007` and `7` are two. Raises DataError for numbers with a point, and what is beyond int64."""
    column = table.column(name)
    _refuse_times(table, name, column)
    if is_whole(column):
        return _whole(table, name, column)
    if not is_text(column):
        raise table.error(name, f"holds {column.type} ({column[0]} in {{place}}), ids are integers or texts", 0)
    if not table.is_typed and (values := _integers(column)) is not None:
        return values
    words = _Words.of(table, name, column)
    words.refuse_spaces()
    found = words.texts() if table.is_typed else words.typed()
    if found.dtype.kind == "f":
        words.refuse(
            pc.invert(words.match(INTEGER)),
            "holds the number {text} in {place}, ids are integers or texts; write it without a point",
        )
    return found


def integers(table: Table, name: str) -> np.ndarray:
    """int64. Raises DataError."""
    found = ids(table, name)
    if found.dtype.kind != "i":
        words = _Words.of(table, name, table.column(name))
        words.refuse(pc.invert(words.match(r"^(0|-?[1-9][0-9]*)$")), "holds {text} in {place}, must be an integer")
    return found


def numbers(table: Table, name: str, needs: str) -> np.ndarray:
    """int64 or float64, all finite. needs: who needs them, for the message. Raises DataError."""
    column = table.column(name)
    _refuse_times(table, name, column)
    if is_whole(column):
        return _whole(table, name, column)
    if not is_text(column):
        return _floats(table, name, column)
    values = _integers(column)
    return _Words.of(table, name, column).numbers(needs) if values is None else values


def texts(table: Table, name: str) -> np.ndarray:
    """Texts as written, also empty ones. Raises DataError."""
    return _Words.of(table, name, table.column(name), may_be_empty=True).texts()


def features(table: Table, name: str, kind: str | None) -> np.ndarray:
    """Integers as int64, numbers as float64, everything else as text. kind: of the model's field, where it has one.

    Raises DataError where the model cannot take it.
    """
    if kind == "number":
        return check_float32(table, name, numbers(table, name, "the model's field is a number"))
    column = table.column(name)
    _refuse_times(table, name, column)
    if is_whole(column):
        return _whole(table, name, column)
    if not is_text(column):
        found = _floats(table, name, column)
    elif table.is_typed:
        found = _Words.of(table, name, column).texts()
    elif (values := _integers(column)) is not None:
        found = values
    else:
        found = _Words.of(table, name, column).typed()
    if found.dtype.kind != "f":
        return found
    if kind is not None:
        odd = int(np.argmax(found != np.floor(found)))
        rule = f"the model's field is a {kind} of integers or texts; say kind: number, or write integers"
        raise table.error(name, f"holds numbers ({found[odd]} in {{place}}), {rule}", odd)
    return check_float32(table, name, found)


def check_float32(table: Table, name: str, values: np.ndarray) -> np.ndarray:
    """The values, where a model can hold them. Raises DataError naming the first that it cannot."""
    with np.errstate(over="ignore"):
        fits = np.isfinite(values.astype(np.float32))
    if not fits.all():
        row = int(np.argmin(fits))
        raise table.error(name, f"holds {values[row]:g} in {{place}}, a model's numbers end at 3.4e38 (float32)", row)
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
        words = _Words.of(table, name, column)
        words.refuse_spaces()
        return np.asarray(pc.equal(words.different, wanted))[words.index].astype(np.uint8)
    if wanted is None and is_text(column):
        words = _Words.of(table, name, column)
        found = [BOOLEANS.get(text.lower()) for text in words.different.to_pylist()]
        if None not in found:
            return np.array(found, dtype=np.uint8)[words.index]
    number = 1 if wanted is None else wanted
    needs = f"data.label.equals is the number {number:g} (a text is written in quotes: equals: 'yes')"
    return (numbers(table, name, needs) == number).astype(np.uint8)
