"""Arrow: a batch as one record of the IPC stream format.

Columns that `events.constant` made are not written row by row: they travel once, as JSON in the schema's metadata. Numbers
of larger batches are written in fewer bytes (`reloop_stream.codec.compact`), and ids of exposures that are made of request
and position are left out. Records of plain columns, which all once were, are read alike.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import NoneType
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from reloop_stream.codec.arrays import numbers, plain, texts
from reloop_stream.codec.compact import (
    MAX_CELLS,
    WIDE,
    Runs,
    compact,
    expanded,
    factor_of,
    pays,
    widened,
)
from reloop_stream.errors import EventError
from reloop_stream.events import (
    ClickBatch,
    Column,
    EventKind,
    ExampleBatch,
    ExposureBatch,
    ListColumn,
    constant,
    is_constant,
)

__all__ = ["CLICK_COLUMNS", "EXAMPLE_COLUMNS", "EXPOSURE_COLUMNS", "decode", "encode", "from_arrow", "to_arrow"]

CONSTANTS = b"constants"
MADE_OF = ("request_id", "position")
FACTOR = b"exposure_id"  # where the record has no such column: it is this number · request_id + position
DTYPE = b"dtype"  # of a feature's column: the type that its numbers had
FEATURE = "features."

# What a column may hold: "id" is int64 or text, the rest are numpy types. Narrower integers are widened on reading.
EXPOSURE_COLUMNS: dict[str, str] = {
    "request_id": "id",
    "exposure_id": "id",
    "event_time_ms": "int64",
    "user_id": "id",
    "item_id": "id",
    "arm": "text",
    "position": "int32",
    "n_candidates": "int32",
    "model_name": "text",
    "model_version": "int64",
    "pctr": "float64",
    "propensity": "float64",
    "weight": "float64",
}
CLICK_COLUMNS: dict[str, str] = {"exposure_id": "id", "event_time_ms": "int64", "click_time_ms": "int64", "arm": "text"}
EXAMPLE_COLUMNS: dict[str, str] = {"label": "uint8", "label_time_ms": "int64", "status": "uint8"}
OPTIONAL = {("click", "arm"), ("exposure", "weight"), ("example", "weight")}
NULLABLE = "propensity"
WEIGHTED = ["value", "weight"]  # of a list with weights, which is one of structs
# A record of constants alone says how many rows it has; what it may say is bounded, for each row costs those who read it.
MAX_CONSTANT_ROWS = 1 << 16
END_OF_STREAM = b"\xff\xff\xff\xff\0\0\0\0"
_Field = tuple[str, pa.DataType, bytes]  # name, type, the type that a feature's numbers had


def encode(batch: ExposureBatch | ClickBatch | ExampleBatch) -> bytes:
    """The bytes of one arrow record."""
    constants: dict[str, Any] = {}
    fields: list[_Field] = []
    arrays: list[pa.Array] = []
    columns = dict(_columns(batch))
    metadata = {}
    runs = None
    is_compact = not isinstance(batch, ClickBatch) and pays(len(batch), len(columns))
    if is_compact:
        request_id, position, exposure_id = (np.asarray(columns[name]) for name in (*MADE_OF, "exposure_id"))
        runs = Runs.of(request_id) if request_id.dtype.kind == "i" else None
        if (factor := factor_of(request_id, position, exposure_id)) is not None:
            metadata[FACTOR] = b"%d" % factor
            del columns["exposure_id"]
    for name, column in columns.items():
        if is_constant(column):
            constants[name] = [column.dtype.str if column.dtype.kind not in "UO" else "text", _plain(column[0])]  # type: ignore[union-attr, index]
        elif is_compact and isinstance(column, np.ndarray) and column.dtype.kind in "if":
            arrays.append(compact(column, runs, name == NULLABLE))
            had = column.dtype.name.encode() if name.startswith(FEATURE) else b""
            fields.append((name, arrays[-1].type, had if had in WIDE else b""))
        else:
            arrays.append(to_arrow(column, name == NULLABLE))
            fields.append((name, arrays[-1].type, b""))
    if not arrays:  # else it is seen of them, and the head stays the same from record to record
        constants["rows"] = len(batch)
    head = _head(tuple(fields), json.dumps(constants), tuple(metadata.items()))
    # What `pa.ipc.new_stream` writes, without a sink that grows and is copied.
    return b"".join((head.message, pa.RecordBatch.from_arrays(arrays, schema=head.schema).serialize(), END_OF_STREAM))


def _columns(batch: ExposureBatch | ClickBatch | ExampleBatch) -> list[tuple[str, Column]]:
    if isinstance(batch, ExampleBatch):
        return [*_columns(batch.exposures), *((name, getattr(batch, name)) for name in EXAMPLE_COLUMNS)]
    if isinstance(batch, ClickBatch):
        return _present(batch, CLICK_COLUMNS)
    return [*_present(batch, EXPOSURE_COLUMNS), *((FEATURE + name, column) for name, column in batch.features.items())]


def _present(batch: ExposureBatch | ClickBatch, names: Iterable[str]) -> list[tuple[str, Column]]:
    columns = [(name, getattr(batch, name)) for name in names]
    return [(name, column) for name, column in columns if column is not None]


def _plain(value: Any) -> Any:
    plain = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(plain, float) and np.isnan(plain) else plain


def to_arrow(column: Column, nullable: bool = False) -> pa.Array:
    """The column as one of arrow's. nullable: whether NaN stands for nothing."""
    if isinstance(column, ListColumn):
        values = to_arrow(column.values)
        if column.weights is not None:
            values = pa.StructArray.from_arrays([values, numbers(column.weights)], names=WEIGHTED)
        return pa.LargeListArray.from_arrays(numbers(column.offsets), values)
    if column.dtype.kind == "U":
        return texts(column.tolist())
    if column.dtype.kind == "O":
        return pa.array(column, pa.string())
    return numbers(column, nullable)


class _Head(NamedTuple):
    """A stream's schema, and the message that says it."""

    schema: pa.Schema
    message: bytes


@lru_cache(maxsize=64)
def _head(fields: tuple[_Field, ...], constants: str, metadata: tuple[tuple[bytes, bytes], ...]) -> _Head:
    named = [pa.field(name, kind, metadata={DTYPE: dtype} if dtype else None) for name, kind, dtype in fields]
    schema = pa.schema(named, {CONSTANTS: constants.encode(), **dict(metadata)})
    return _Head(schema, schema.serialize().to_pybytes())


def decode(value: bytes, kind: EventKind) -> ExposureBatch | ClickBatch | ExampleBatch:
    """The batch in an arrow record. Raises EventError naming the column that is missing or of another type."""
    # Bytes of anyone: they may raise anything, from within pyarrow, the JSON reader (RecursionError) or numpy.
    try:
        batch = pa.ipc.open_stream(value).read_next_batch()
        batch.validate(full=True)
        constants = json.loads((batch.schema.metadata or {}).get(CONSTANTS, b"{}"))
        n = int(constants.pop("rows", batch.num_rows))
    except Exception as error:
        raise EventError(f"arrow: {len(value)} bytes that are no arrow record ({_one_line(error)})") from None
    if n != batch.num_rows if batch.num_columns else not 0 <= n <= MAX_CONSTANT_ROWS:
        raise EventError(f"arrow: {batch.num_rows} rows, its constants say {n}")
    if n * sum(map(_takes_no_bytes, batch.schema.types)) > MAX_CELLS:
        raise EventError(f"arrow: {len(value)} bytes that would be columns of {n} rows")
    columns: dict[str, Column] = {}
    try:
        for name, (dtype, single) in constants.items():
            columns[name] = _constant(name, dtype, single, n)
        for field, array in zip(batch.schema, batch.columns, strict=True):
            if field.name in columns:
                raise EventError(f"{field.name}: is there twice")
            columns[field.name] = _column(field, array, n)
        if FACTOR in (metadata := batch.schema.metadata or {}) and "exposure_id" not in columns:
            columns["exposure_id"] = _exposure_ids(columns, int(metadata[FACTOR]))
        return _assemble(columns, kind)
    except EventError:
        raise
    except Exception as error:
        raise EventError(f"arrow: {_one_line(error)}") from None


def _constant(name: str, dtype: str, value: Any, n: int) -> np.ndarray:
    """A column that travelled as one value. Raises EventError where the type is none that `encode` writes."""
    if dtype == "text":
        if not isinstance(value, str):
            raise EventError(f"{name}: its constant is {value!r}, must be a text")
        return constant(value, n, object)  # as an array of letters it would lose zero bytes at its end
    found = np.dtype(dtype)
    if found.kind not in "iufb" or not isinstance(value, (int, float, NoneType)):
        raise EventError(f"{name}: its constant is {value!r} of type {found}, must be a number")
    return constant(np.nan if value is None else value, n, found)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _column(field: pa.Field, array: pa.Array, n: int) -> Column:
    """A column of the record, in the type that it had when it was written."""
    has_runs = pa.types.is_run_end_encoded(array.type)
    column = _values(field.name, array.values) if has_runs else from_arrow(field.name, array)
    if field.metadata and DTYPE in field.metadata and isinstance(column, np.ndarray):
        column = widened(field.name, column, field.metadata[DTYPE])
    return expanded(field.name, plain(array.run_ends), column, n) if has_runs else column  # type: ignore[arg-type]


def _exposure_ids(columns: Mapping[str, Column], factor: int) -> np.ndarray:
    request_id, position = (columns.get(name) for name in MADE_OF)
    if not (isinstance(request_id, np.ndarray) and isinstance(position, np.ndarray)):
        raise EventError(f"exposure_id: missing, and so is what it is made of, {' or '.join(MADE_OF)}")
    if {request_id.dtype.kind, position.dtype.kind} != {"i"}:
        raise EventError(f"exposure_id: is made of {' and '.join(MADE_OF)}, which must be integers then")
    return np.add(request_id.astype(np.int64) * np.int64(factor), position)


def _takes_no_bytes(kind: pa.DataType) -> bool:
    """Whether a column of this type may have any number of rows in few bytes."""
    return bool(pa.types.is_run_end_encoded(kind) or pa.types.is_null(kind))


def from_arrow(name: str, array: pa.Array) -> Column:
    """The column that `to_arrow` made this of. Raises EventError naming it where its type is none of ours."""
    _require_values(name, array)
    kind = array.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return plain(array)
    if kind == pa.null():
        return np.full(len(array), np.nan)
    if pa.types.is_dictionary(kind):
        return _by_number(name, array)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        offsets = plain(array.offsets).astype(np.int64)
        values = array.values.slice(offsets[0], offsets[-1] - offsets[0])
        if values.type == pa.null() and not len(values):  # every list is empty, and of what nobody said
            values = values.cast(pa.int64())
        weights = None
        if pa.types.is_struct(values.type):
            values, weights = _weighted(name, values)
        return ListColumn(_values(name, values), offsets - offsets[0], weights)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        texts: np.ndarray = array.to_numpy(zero_copy_only=False)
        return texts.astype(object)
    if pa.types.is_boolean(kind):
        return array.to_numpy(zero_copy_only=False).astype(np.int64)
    raise EventError(f"{name}: is of type {kind}, which no event has")


def _require_values(name: str, array: pa.Array) -> None:
    if array.null_count and name != NULLABLE:
        raise EventError(f"{name}: {array.null_count} nulls, every row must have a value")


def _values(name: str, array: pa.Array) -> np.ndarray:
    """An array within another, of whose length the rows of the record say nothing."""
    _require_values(name, array)
    found = None if _takes_no_bytes(array.type) else from_arrow(name, array)
    if not isinstance(found, np.ndarray):
        raise EventError(f"{name}: holds values of type {array.type}, which no event has")
    return found


def _by_number(name: str, array: pa.DictionaryArray) -> np.ndarray:
    """A dictionary's values at its indices. A text stays one object, however often it is named."""
    values = _values(name, array.dictionary)
    if not array.null_count:
        return values[plain(array.indices)]
    found = np.full(len(array), np.nan)
    known = array.is_valid().to_numpy(zero_copy_only=False)
    found[known] = values[plain(array.indices.filter(array.is_valid()))]
    return found


def _weighted(name: str, structs: pa.StructArray) -> tuple[pa.Array, np.ndarray]:
    """The values of lists and their weights."""
    names = [field.name for field in structs.type]
    if sorted(names) != WEIGHTED or structs.null_count:
        raise EventError(f"{name}: a list of structs of {names}, each must be a {' and a '.join(WEIGHTED)}")
    # `flatten` minds where a slice begins, which `field` does not.
    values, weights = (structs.flatten()[names.index(one)] for one in WEIGHTED)
    numbers = _values(f"{name}.weight", weights)
    if numbers.dtype.kind not in "fiu":
        raise EventError(f"{name}: its weights are of type {weights.type}, must be numbers")
    return values, numbers.astype(np.float64, copy=False)


def _assemble(columns: Mapping[str, Column], kind: str) -> ExposureBatch | ClickBatch | ExampleBatch:
    def typed(wanted: Mapping[str, str]) -> list[Any]:
        return [_typed(name, columns.get(name), rule, (kind, name) in OPTIONAL) for name, rule in wanted.items()]

    if kind == "click":
        return ClickBatch(*typed(CLICK_COLUMNS))
    features = {name.removeprefix(FEATURE): column for name, column in columns.items() if name.startswith(FEATURE)}
    exposures = ExposureBatch(**dict(zip(EXPOSURE_COLUMNS, typed(EXPOSURE_COLUMNS), strict=True)), features=features)
    return exposures if kind == "exposure" else ExampleBatch(exposures, *typed(EXAMPLE_COLUMNS))


def _typed(name: str, column: Column | None, rule: str, optional: bool) -> np.ndarray | None:
    if column is None:
        if optional:
            return None
        raise EventError(f"{name}: missing")
    found = "list" if isinstance(column, ListColumn) else column.dtype.kind
    allowed = {"id": "iuUO", "text": "UO", "float64": "fiu"}.get(rule, "iu")
    if found not in allowed:
        raise EventError(f"{name}: has values of type {found if found == 'list' else column.dtype}, must be {rule}")  # type: ignore[union-attr]
    assert isinstance(column, np.ndarray)
    if found in "UO":
        return column
    wanted = np.dtype("int64" if rule == "id" else rule)
    if column.dtype == wanted:
        return column
    if wanted.kind in "iu" and len(column) and not np.can_cast(column.dtype, wanted):
        bounds = np.iinfo(wanted)
        if not bounds.min <= int(column.min()) <= int(column.max()) <= bounds.max:
            raise EventError(f"{name}: {column.min()} to {column.max()}, must lie in [{bounds.min}, {bounds.max}]")
    if is_constant(column):
        return constant(column[0], len(column), wanted)
    return column.astype(wanted)
