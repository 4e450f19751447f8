"""What the first exposures of a topic say of their stream: the fields, the types of ids and features, the base rate."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from reloop_stream.codec.records import decode
from reloop_stream.config import FieldConfig
from reloop_stream.errors import ConfigError
from reloop_stream.events import Column, ExposureBatch, ListColumn
from reloop_stream.log import EventLog, Partition, Record
from reloop_stream.runtime.rarely import Rarely
from reloop_stream.stream.event_feed import MAX_RECORDS, POLL_S, Dead, FeedStopped
from reloop_stream.stream.feed_watch import place_of
from reloop_stream.stream.intake import IDS, ValueType, type_of

__all__ = ["Inferred", "NoExposure", "first_exposures", "infer"]

logger = logging.getLogger(__name__)

SAMPLE = 1000  # exposures that are looked at
PATIENCE_S = 3.0  # without an exposure, before one says so
LOWEST_RATE, HIGHEST_RATE = 1e-4, 0.5


class Inferred(NamedTuple):
    """What a sample of exposures says. base_rate: their mean stamp, within sensible bounds."""

    fields: list[FieldConfig]
    types: dict[str, ValueType]
    base_rate: float


class NoExposure(ConfigError):
    """The topic holds no exposure that can be read, and no more is to be read."""


def first_exposures(
    log: EventLog,
    topic: str,
    *,
    until_end: bool = False,
    should_stop: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.monotonic,
) -> list[ExposureBatch]:
    """The first exposures that can be read, of the first partition that has any.

    Waits where there is none yet, and says what it saw instead within seconds; with `until_end` it raises NoExposure. Raises
    FeedStopped, LogUnavailable, UnknownTopic too.
    """
    rarely, began = Rarely(clock), clock()
    looks: dict[Partition, _Look] = {}
    while True:
        at_end = True
        for partition in log.partitions(topic):
            look = looks.setdefault(partition, _Look())
            at_end = look.go_on(log, partition, should_stop) and at_end
            if look.found:
                return look.found
        seen = sum(look.records for look in looks.values())
        what = "holds nothing yet" if not seen else f"{seen:,} records read, none of them an exposure that can be read"
        if dead := next((look.dead for look in looks.values() if look.dead is not None), None):
            what += f"; the first, {place_of(dead.record.partition, dead.record.offset)}: {dead.reason}"
        if until_end and at_end:
            raise NoExposure(f"{topic}: {what}; docs/events.md says what an exposure is")
        if should_stop():
            raise FeedStopped
        if clock() - began > PATIENCE_S and rarely.is_due(topic):
            logger.warning("%s: %s; waiting for one", topic, what)
        time.sleep(POLL_S)


@dataclass(slots=True)
class _Look:
    """What one partition holds at its beginning. dead: the first record that could not be read."""

    next_offset: int | None = None
    records: int = 0
    dead: Dead | None = None
    found: list[ExposureBatch] = field(default_factory=list)

    def go_on(self, log: EventLog, partition: Partition, should_stop: Callable[[], bool]) -> bool:
        """Read on up to the present end, or for some seconds where there is no exposure; whether it got to the end."""
        end = log.end_offsets([partition])[partition]
        if self.next_offset is None:
            self.next_offset = log.begin_offsets([partition])[partition]
        if self.next_offset >= end:
            return True
        reader = log.reader({partition: self.next_offset})
        began = time.monotonic()
        try:
            while reader.position()[partition] < end:
                if should_stop():
                    raise FeedStopped
                records = reader.poll(
                    POLL_S, MAX_RECORDS
                )  # an empty one ends nothing: a far broker takes longer than that
                self._read(records)
                if sum(map(len, self.found)) >= SAMPLE:
                    return True
                if records and not self.found and time.monotonic() - began > PATIENCE_S:
                    return False
            return True
        finally:
            self.next_offset = reader.position()[partition]
            reader.close()

    def _read(self, records: list[Record]) -> None:
        self.records += len(records)
        for item in decode(records, "exposure", self._bury):
            if isinstance(item.batch, ExposureBatch):
                self.found.append(item.batch)

    def _bury(self, record: Record, reason: str) -> None:
        self.dead = self.dead or Dead(record, reason)


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
