"""JSON: an event a record, for people and other tools. Records are keyed by exposure_id."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby, pairwise
from typing import Any

import msgspec
import numpy as np

from reloop_stream.errors import EventError
from reloop_stream.events import (
    LEFT_OUT,
    SCHEMA_VERSION,
    ClickBatch,
    Column,
    EventKind,
    ExampleBatch,
    ExposureBatch,
    ListColumn,
)
from reloop_stream.log.base import Record

__all__ = ["decode", "encode", "to_batch"]

FEATURES_PATH = "`$.features[...]"
Id = int | str


class WeightedList(msgspec.Struct, forbid_unknown_fields=True):
    values: list[int | str]
    weights: list[float]


Feature = int | float | str | list[int | str] | WeightedList


class ExposureEvent(msgspec.Struct):
    schema_version: int
    request_id: Id
    exposure_id: Id
    event_time_ms: int
    user_id: Id
    item_id: Id
    arm: str
    position: int
    n_candidates: int
    model_name: str
    model_version: int
    pctr: float
    propensity: float | None = None
    features: dict[str, Feature] = {}
    weight: float | msgspec.UnsetType = msgspec.UNSET


class ClickEvent(msgspec.Struct, omit_defaults=True):
    schema_version: int
    exposure_id: Id
    event_time_ms: int
    click_time_ms: int
    arm: str | None = None


class ExampleEvent(ExposureEvent, kw_only=True):
    label: int
    label_time_ms: int
    status: int


STRUCTS: dict[str, type[Any]] = {"exposure": ExposureEvent, "click": ClickEvent, "example": ExampleEvent}
_DECODERS = {kind: msgspec.json.Decoder(struct).decode for kind, struct in STRUCTS.items()}
_encode = msgspec.json.Encoder().encode
_NOT_COLUMNS = ("schema_version", "features", "weight")  # of an exposure's fields, those that are no plain column
_IDS = ("request_id", "exposure_id", "user_id", "item_id")
_NUMBERS: dict[str, Any] = {
    "event_time_ms": np.int64,
    "click_time_ms": np.int64,
    "label_time_ms": np.int64,
    "position": np.int32,
    "n_candidates": np.int32,
    "model_version": np.int64,
    "pctr": np.float64,
    "label": np.uint8,
    "status": np.uint8,
}
INT64 = range(-(1 << 63), 1 << 63)
INT32 = range(-(1 << 31), 1 << 31)


def encode(batch: ExposureBatch | ClickBatch | ExampleBatch) -> Iterator[tuple[bytes, bytes]]:
    """(key, value) of each event."""
    if isinstance(batch, ClickBatch):
        n = len(batch)
        arms = [None] * n if batch.arm is None else batch.arm.tolist()
        columns = (batch.exposure_id, batch.event_time_ms, batch.click_time_ms)
        rows = zip(*(column.tolist() for column in columns), arms, strict=True)
        for row in rows:
            yield str(row[0]).encode(), _encode(ClickEvent(SCHEMA_VERSION, *row))
        return
    exposures = batch.exposures if isinstance(batch, ExampleBatch) else batch
    names = [name for name in ExposureEvent.__struct_fields__ if name not in (*_NOT_COLUMNS, "propensity")]
    stamped = zip(*(getattr(exposures, name).tolist() for name in names), strict=True)
    propensity = (None if math.isnan(p) else p for p in exposures.propensity.tolist())
    weights: Any = [msgspec.UNSET] * len(batch) if exposures.weight is None else exposures.weight.tolist()
    extra: Any = [()] * len(batch)
    if isinstance(batch, ExampleBatch):
        extra = zip(batch.label.tolist(), batch.label_time_ms.tolist(), batch.status.tolist(), strict=True)
    events = zip(stamped, propensity, _feature_rows(exposures), weights, extra, strict=True)
    for row, odds, features, weight, label in events:
        if label:
            named = dict(zip(("label", "label_time_ms", "status"), label, strict=True))
            value: Any = ExampleEvent(SCHEMA_VERSION, *row, odds, features, weight, **named)  # type: ignore[call-arg, arg-type]
        else:
            value = ExposureEvent(SCHEMA_VERSION, *row, odds, features, weight)  # type: ignore[call-arg]
        yield str(row[1]).encode(), _encode(value)


def _feature_rows(batch: ExposureBatch) -> Iterator[dict[str, Any]]:
    if not batch.features:
        yield from ({} for _ in range(len(batch)))
        return
    columns = []
    for column in batch.features.values():
        if isinstance(column, ListColumn):
            columns.append(_list_rows(column))
        else:
            columns.append(column.tolist())
    for row in zip(*columns, strict=True):
        yield dict(zip(batch.features, row, strict=True))


def _list_rows(column: ListColumn) -> list[Any]:
    at, values = column.offsets.tolist(), column.values.tolist()
    if column.weights is None:
        return [values[a:b] for a, b in pairwise(at)]
    weights = column.weights.tolist()
    return [WeightedList(values[a:b], weights[a:b]) for a, b in pairwise(at)]


def decode(
    records: Sequence[Record], kind: EventKind, on_dead: Callable[[Record, str], None]
) -> Iterator[tuple[list[Record], list[Any]]]:
    """Runs of consecutive events whose ids and features are of the same types, with the records that they came from."""
    read = _DECODERS[kind]
    events = []
    for record in records:
        try:
            event = read(record.value)
            _check(event)
        except EventError as error:
            on_dead(record, str(error))
            continue
        except Exception as error:  # deep nesting is a RecursionError, bytes that are no text a ValueError
            said = str(error) or type(error).__name__
            on_dead(record, (_unfit_feature(record.value) if FEATURES_PATH in said else None) or f"json: {said}")
            continue
        events.append((record, event))
    lists = _list_types([event for _, event in events])
    for _, group in groupby(events, key=lambda pair: _signature(pair[1], lists)):
        pairs = list(group)
        yield [record for record, _ in pairs], [event for _, event in pairs]


def _unfit_feature(value: bytes) -> str | None:
    """msgspec does not name the key of a mapping whose value is unfit. None where the record has other faults too."""
    try:
        features = msgspec.json.decode(value)["features"].items()
    except Exception:  # as above
        return None
    for name, feature in features:
        try:
            msgspec.convert(feature, Feature)
        except msgspec.ValidationError:
            shown = msgspec.json.encode(feature)[:100].decode(errors="replace")
            return (
                f"features.{name}: got {shown}, must be a number, an integer, a text, a list of integers or texts, or "
                "such `values` with their `weights`"
            )
    return None


def _check(event: Any) -> None:
    if not 1 <= event.schema_version <= SCHEMA_VERSION:
        raise EventError(f"schema_version: got {event.schema_version}, this program reads 1 to {SCHEMA_VERSION}")
    for name in event.__struct_fields__:
        value = getattr(event, name)
        bounds = INT32 if name in ("position", "n_candidates") else range(256) if name in ("label", "status") else INT64
        if type(value) is int and value not in bounds:
            raise EventError(f"{name}: got {value}, must lie in [{bounds.start}, {bounds.stop - 1}]")
    for name, value in getattr(event, "features", {}).items():
        if isinstance(value, WeightedList) and len(value.weights) != len(value.values):
            raise EventError(f"features.{name}: has {len(value.weights)} weights for {len(value.values)} values")
        many = _values(value)
        if any(type(one) is int and one not in INT64 for one in ([value] if many is None else many)):
            raise EventError(
                f"features.{name}: got {value if many is None else many}, integers must have at most 64 bits"
            )
        if many is not None and len({type(one) for one in many}) > 1:
            raise EventError(f"features.{name}: got {many}, a list must hold integers or texts, not both")


def _values(feature: Feature) -> list[int | str] | None:
    """Those of a list, with weights or without; None for anything else."""
    if isinstance(feature, WeightedList):
        return feature.values
    return feature if isinstance(feature, list) else None


def _list_types(events: Sequence[Any]) -> dict[str, type]:
    """What the lists of each feature hold, by the first one that is not empty: an empty one fits them all."""
    found: dict[str, type] = {}
    for event in events:
        for name, value in getattr(event, "features", {}).items():
            if name not in found and (many := _values(value)):
                found[name] = type(many[0])
    return found


def _signature(event: Any, lists: Mapping[str, type]) -> Any:
    """What must be equal for events to share columns."""
    if isinstance(event, ClickEvent):
        return type(event.exposure_id), event.arm is None
    ids = tuple(type(getattr(event, name)) for name in _IDS)
    return ids, tuple((name, _feature_type(value, lists.get(name))) for name, value in event.features.items())


def _feature_type(value: Feature, of_list: type | None) -> Any:
    many = _values(value)
    if many is None:
        return type(value)
    return list, type(many[0]) if many else of_list


def to_batch(events: Sequence[Any], kind: EventKind) -> ExposureBatch | ClickBatch | ExampleBatch:
    """The batch of one run of events, which must not be empty."""

    def column(name: str) -> Any:
        values = [getattr(event, name) for event in events]
        if name == "propensity":
            return np.array([math.nan if value is None else value for value in values], dtype=np.float64)
        return _array(values, _NUMBERS.get(name))

    if kind == "click":
        arm = None if events[0].arm is None else column("arm")
        return ClickBatch(column("exposure_id"), column("event_time_ms"), column("click_time_ms"), arm)
    names = [name for name in ExposureEvent.__struct_fields__ if name not in _NOT_COLUMNS]
    features = {name: _feature_column([event.features[name] for event in events]) for name in events[0].features}
    weight = _weights([event.weight for event in events])
    exposures = ExposureBatch(*(column(name) for name in names), features, weight)  # type: ignore[call-arg]
    if kind == "exposure":
        return exposures
    return ExampleBatch(exposures, column("label"), column("label_time_ms"), column("status"))


def _weights(values: list[Any]) -> np.ndarray | None:
    if all(value is msgspec.UNSET for value in values):
        return None
    return np.array([LEFT_OUT["weight"] if value is msgspec.UNSET else value for value in values], dtype=np.float64)


def _array(values: list[Any], dtype: Any = None) -> np.ndarray:
    if dtype is None:
        dtype = object if isinstance(values[0], str) else np.float64 if isinstance(values[0], float) else np.int64
    return np.array(values, dtype=dtype)


def _feature_column(values: list[Any]) -> Column:
    if _values(values[0]) is None:
        return _array(values)
    weights = None
    if any(isinstance(value, WeightedList) for value in values):
        each = (value.weights if isinstance(value, WeightedList) else [1.0] * len(value) for value in values)
        weights = np.array([one for several in each for one in several], dtype=np.float64)
        values = [_values(value) for value in values]
    lengths = np.fromiter(map(len, values), dtype=np.int64, count=len(values))
    flat = [one for value in values for one in value]
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    return ListColumn(_array(flat) if flat else np.zeros(0, np.int64), offsets, weights)
