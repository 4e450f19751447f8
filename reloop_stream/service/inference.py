"""What the first exposures of a topic say of their stream: the fields, the types of ids and features, the base rate."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from reloop_stream.codec.records import decode
from reloop_stream.config import FieldConfig
from reloop_stream.events import Column, ExposureBatch, ListColumn
from reloop_stream.log import EventLog, Partition
from reloop_stream.stream.event_feed import MAX_RECORDS, POLL_S, FeedStopped
from reloop_stream.stream.intake import IDS, ValueType, type_of

__all__ = ["Inferred", "first_exposures", "infer"]

SAMPLE = 1000  # exposures that are looked at
LOWEST_RATE, HIGHEST_RATE = 1e-4, 0.5


class Inferred(NamedTuple):
    """What a sample of exposures says. base_rate: their mean stamp, within sensible bounds."""

    fields: list[FieldConfig]
    types: dict[str, ValueType]
    base_rate: float


def first_exposures(log: EventLog, topic: str, should_stop: Callable[[], bool] = lambda: False) -> list[ExposureBatch]:
    """The first exposures that can be read, of the first partition that has any; waits where there is none yet.

    Raises FeedStopped, LogUnavailable, UnknownTopic.
    """
    while True:
        for partition in log.partitions(topic):
            if found := _beginning(log, partition):
                return found
        if should_stop():
            raise FeedStopped
        time.sleep(POLL_S)


def _beginning(log: EventLog, partition: Partition) -> list[ExposureBatch]:
    begin, end = log.begin_offsets([partition]), log.end_offsets([partition])
    found: list[ExposureBatch] = []
    if begin == end:
        return found
    reader = log.reader(begin)
    try:
        while reader.position()[partition] < end[partition] and sum(map(len, found)) < SAMPLE:
            records = reader.poll(POLL_S, MAX_RECORDS)
            if not records:
                break
            decoded = decode(records, "exposure", lambda record, reason: None)
            found += [item.batch for item in decoded if isinstance(item.batch, ExposureBatch)]
    finally:
        reader.close()
    return found


def infer(batches: Sequence[ExposureBatch]) -> Inferred:
    """Fields and types from a sample of exposures.

    A feature that at least half of them carry is a field: a float is a number, an integer or a text is a hashed category,
    a list a hashed list. Where a feature comes in several types, the more frequent counts; a number may come as both.
    """
    kinds: dict[str, Counter[tuple[str, ValueType | None]]] = {}
    total = 0
    types: dict[str, ValueType] = {}
    for name in IDS:
        seen: Counter[ValueType | None] = Counter()
        for batch in batches:
            seen[type_of(getattr(batch, name))] += len(batch)
        types[name] = _most(seen)
    for batch in batches:
        total += len(batch)
        for name, column in batch.features.items():
            kinds.setdefault(name, Counter())[_kind(column), type_of(column)] += len(batch)
    fields = []
    for name, found in kinds.items():
        if 2 * found.total() < total:
            continue
        (kind, _), _ = found.most_common(1)[0]
        if any(one == "number" for one, _ in found):
            kind = "number"
        of_kind: Counter[ValueType | None] = Counter({t: n for (one, t), n in found.items() if one == kind})
        fields.append(FieldConfig(name=name, kind=kind))
        if kind != "number":
            types[f"features.{name}"] = _most(of_kind)
    mean = float(np.concatenate([batch.pctr for batch in batches]).mean())
    return Inferred(fields, types, min(max(mean, LOWEST_RATE), HIGHEST_RATE))


def _kind(column: Column) -> str:
    if isinstance(column, ListColumn):
        return "list"
    return "number" if column.dtype.kind == "f" else "category"


def _most(seen: Counter[ValueType | None]) -> ValueType:
    """The most frequent type; integers where nothing but empty lists was seen."""
    known = Counter({found: n for found, n in seen.items() if found is not None})
    return known.most_common(1)[0][0] if known else "integer"
