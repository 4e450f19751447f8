"""Arrow: a batch as one record of the IPC stream format.

Columns that `events.constant` made are not written row by row: they travel once, as JSON in the schema's metadata.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import NoneType
from typing import Any

import numpy as np
import pyarrow as pa

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


def encode(batch: ExposureBatch | ClickBatch | ExampleBatch) -> bytes:
    """The bytes of one arrow record."""
    constants: dict[str, Any] = {}
    names: list[str] = []
    arrays: list[pa.Array] = []
    for name, column in _columns(batch):
        if is_constant(column):
            constants[name] = [column.dtype.str if column.dtype.kind not in "UO" else "text", _plain(column[0])]  # type: ignore[union-attr, index]
        else:
            names.append(name)
            arrays.append(to_arrow(column, name == NULLABLE))
    constants["rows"] = len(batch)
    types = tuple(array.type for array in arrays)
    schema = _schema(tuple(names), types).with_metadata({CONSTANTS: json.dumps(constants).encode()})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(pa.record_batch(arrays, schema=schema))
    return sink.getvalue().to_pybytes()


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
            values = pa.StructArray.from_arrays([values, pa.array(column.weights)], names=WEIGHTED)
        return pa.LargeListArray.from_arrays(pa.array(column.offsets), values)
    if column.dtype.kind == "U":
        return pa.array(column.tolist(), pa.string())
    if column.dtype.kind == "O":
        return pa.array(column, pa.string())
    return pa.array(column, from_pandas=nullable)


@lru_cache(maxsize=64)
def _schema(names: tuple[str, ...], types: tuple[pa.DataType, ...]) -> pa.Schema:
    return pa.schema(list(zip(names, types, strict=True)))


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
    columns: dict[str, Column] = {}
    try:
        for name, (dtype, single) in constants.items():
            columns[name] = _constant(name, dtype, single, n)
        for name, array in zip(batch.schema.names, batch.columns, strict=True):
            if name in columns:
                raise EventError(f"{name}: is there twice")
            columns[name] = from_arrow(name, array)
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


def from_arrow(name: str, array: pa.Array) -> Column:
    """The column that `to_arrow` made this of. Raises EventError naming it where its type is none of ours."""
    if array.null_count and name != NULLABLE:
        raise EventError(f"{name}: {array.null_count} nulls, every row must have a value")
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    kind = array.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        offsets = array.offsets.to_numpy(zero_copy_only=False).astype(np.int64)
        values = array.values.slice(offsets[0], offsets[-1] - offsets[0])
        if values.type == pa.null() and not len(values):  # every list is empty, and of what nobody said
            values = values.cast(pa.int64())
        weights = None
        if pa.types.is_struct(values.type):
            values, weights = _weighted(name, values)
        return ListColumn(from_arrow(name, values), offsets - offsets[0], weights)  # type: ignore[arg-type]
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        texts: np.ndarray = array.to_numpy(zero_copy_only=False)
        return texts.astype(object)
    if pa.types.is_boolean(kind):
        return array.to_numpy(zero_copy_only=False).astype(np.int64)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        numbers: np.ndarray = array.to_numpy(zero_copy_only=False)
        return numbers
    if array.type == pa.null():
        return np.full(len(array), np.nan)
    raise EventError(f"{name}: is of type {kind}, which no event has")


def _weighted(name: str, structs: pa.StructArray) -> tuple[pa.Array, np.ndarray]:
    """The values of lists and their weights."""
    names = [field.name for field in structs.type]
    if sorted(names) != WEIGHTED or structs.null_count:
        raise EventError(f"{name}: a list of structs of {names}, each must be a {' and a '.join(WEIGHTED)}")
    # `flatten` minds where a slice begins, which `field` does not.
    values, weights = (structs.flatten()[names.index(one)] for one in WEIGHTED)
    numbers = from_arrow(f"{name}.weight", weights)
    if not isinstance(numbers, np.ndarray) or numbers.dtype.kind not in "fiu":
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
    if wanted.kind in "iu" and len(column):
        bounds = np.iinfo(wanted)
        if not bounds.min <= int(column.min()) <= int(column.max()) <= bounds.max:
            raise EventError(f"{name}: {column.min()} to {column.max()}, must lie in [{bounds.min}, {bounds.max}]")
    if is_constant(column):
        return constant(column[0], len(column), wanted)
    return column.astype(wanted)
