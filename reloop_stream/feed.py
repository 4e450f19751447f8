"""Reading exposures and clicks tick by tick where marks end the ticks, over all assigned partitions of both topics."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np

from reloop_stream.codec.records import Decoded, Kind, OnDead, Select, decode
from reloop_stream.events import ClickBatch, ExposureBatch, Mark
from reloop_stream.log import EventLog, Partition, Reader, Record
from reloop_stream.log.topics import Topics

__all__ = [
    "BEGINNING_MS",
    "Dead",
    "Feed",
    "FeedStopped",
    "MarkFeed",
    "PartitionEvents",
    "Place",
    "SourcedClicks",
    "TickEvents",
    "both_topics",
    "decode_both",
]

POLL_S = 0.2  # how long one poll may wait: the longest that a stop request goes unheard
MAX_RECORDS = 2000  # a poll's worth of JSON events; of arrow records a poll is bounded by the fetch size first
BEGINNING_MS = np.iinfo(np.int64).min  # the clock of a partition that no event has moved yet


class FeedStopped(Exception):
    """Reading was asked to stop while it waited for the end of a tick."""


class Dead(NamedTuple):
    """A record that could not be read, and why."""

    record: Record
    reason: str


class SourcedClicks(NamedTuple):
    """Clicks, and the offset of each one's record, int64 [n]."""

    batch: ClickBatch
    offsets: np.ndarray


class Place(NamedTuple):
    """How far a partition has been read: the next offset, and the latest event time before it."""

    next_offset: int
    clock_ms: int = BEGINNING_MS


@dataclass(frozen=True, slots=True)
class PartitionEvents:
    """The events of one tick in one partition number of both topics."""

    exposures: list[ExposureBatch] = field(default_factory=list)
    clicks: list[SourcedClicks] = field(default_factory=list)

    def add(self, batch: object, offsets: np.ndarray) -> None:
        if isinstance(batch, ExposureBatch):
            self.exposures.append(batch)
        elif isinstance(batch, ClickBatch):
            self.clicks.append(SourcedClicks(batch, offsets))


@dataclass(frozen=True, slots=True)
class TickEvents:
    """All events of one tick, by partition number."""

    tick: int
    watermark_ms: int
    partitions: dict[int, PartitionEvents]
    dead: list[Dead]


class Feed(Protocol):
    """Hands on the events of one tick after the other."""

    @property
    def numbers(self) -> list[int]:
        """The partition numbers that are read, the same in both topics."""

    @property
    def select(self) -> Select | None:
        """What is let in."""

    @property
    def places(self) -> Mapping[Partition, Place]:
        """Where each partition goes on behind the last tick handed on."""

    def next_tick(self) -> TickEvents:
        """Wait for the end of the next tick. Raises FeedStopped, LogUnavailable, OffsetOutOfRange."""

    def restore(self, tick: int, places: Mapping[Partition, Place]) -> None:
        """Go on behind `tick`, from these places."""

    def close(self) -> None: ...


def both_topics(topics: Topics, numbers: Sequence[int]) -> list[Partition]:
    """The partitions with these numbers, of exposures and then of clicks."""
    return [Partition(topic, number) for topic in (topics.exposures, topics.clicks) for number in numbers]


def decode_both(records: Sequence[Record], topics: Topics, on_dead: OnDead, select: Select | None) -> Iterator[Decoded]:
    """The events of a poll, exposures first, each partition's in order. select: see `reloop_stream.codec.records.decode`."""
    kinds: tuple[tuple[str, Kind], ...] = ((topics.exposures, "exposure"), (topics.clicks, "click"))
    for topic, kind in kinds:
        yield from decode([record for record in records if record.partition.topic == topic], kind, on_dead, select)


@dataclass(slots=True)
class _Queue:
    """What has been read of one partition and not yet handed on."""

    decoded: deque[Decoded] = field(default_factory=deque)
    dead: deque[Dead] = field(default_factory=deque)
    marks: deque[int] = field(default_factory=deque)  # ticks of the marks among `decoded`


class MarkFeed:
    """A feed whose ticks end with a mark. A tick is there once its mark has come in every partition.

    numbers: the partitions to read, from their beginning where `restore` does not say otherwise.
    select: what is let in; what it refuses is dead. See `reloop_stream.codec.records.decode`.

    Marks must rise within a partition; the copy of a mark (a writer that went on after a crash) is passed over.
    """

    def __init__(
        self,
        log: EventLog,
        topics: Topics,
        numbers: Sequence[int],
        *,
        select: Select | None = None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self.numbers = list(numbers)
        self._log = log
        self._topics = topics
        self.select = select
        self._should_stop = should_stop
        self._partitions = both_topics(topics, numbers)
        begin = log.begin_offsets(self._partitions)
        self._reader: Reader | None = None
        self.restore(-1, {partition: Place(offset) for partition, offset in begin.items()})

    def restore(self, tick: int, places: Mapping[Partition, Place]) -> None:
        self.close()
        self._last_tick = tick
        self.places = {partition: places[partition] for partition in self._partitions}
        self._queues = {partition: _Queue() for partition in self._partitions}

    def next_tick(self) -> TickEvents:
        if self._reader is None:
            self._reader = self._log.reader({partition: place.next_offset for partition, place in self.places.items()})
        while not all(queue.marks for queue in self._queues.values()):
            if self._should_stop():
                raise FeedStopped
            self._read(self._reader.poll(POLL_S, MAX_RECORDS))
        tick = self._last_tick + 1
        ahead = {p: q.marks[0] for p, q in self._queues.items() if q.marks[0] != tick}
        if ahead:
            partition, found = next(iter(ahead.items()))
            raise ValueError(
                f"{partition.topic}[{partition.number}]: the next mark ends tick {found}, expected tick {tick}; "
                "the partition was written by another run, or a mark is missing"
            )
        self._last_tick = tick
        return self._hand_on(tick)

    def _read(self, records: Sequence[Record]) -> None:
        for item in decode_both(records, self._topics, self._bury, self.select):
            queue = self._queues[item.partition]
            if isinstance(item.batch, Mark):
                if item.batch.tick <= self._last_tick or (queue.marks and item.batch.tick <= queue.marks[-1]):
                    continue
                queue.marks.append(item.batch.tick)
            queue.decoded.append(item)

    def _bury(self, record: Record, reason: str) -> None:
        self._queues[record.partition].dead.append(Dead(record, reason))

    def _hand_on(self, tick: int) -> TickEvents:
        events = {number: PartitionEvents() for number in self.numbers}
        dead: list[Dead] = []
        watermark_ms = 0
        for partition, queue in self._queues.items():
            while not isinstance((item := queue.decoded.popleft()).batch, Mark):
                events[partition.number].add(item.batch, item.offsets)
            watermark_ms = item.batch.watermark_ms
            self.places[partition] = Place(item.next_offset, watermark_ms)
            queue.marks.popleft()
            while queue.dead and queue.dead[0].record.offset < item.next_offset:
                dead.append(queue.dead.popleft())
        return TickEvents(tick, watermark_ms, events, dead)

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None
