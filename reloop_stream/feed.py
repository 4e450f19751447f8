"""Reading exposures and clicks tick by tick: what lies between two marks, over all assigned partitions of both topics."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from reloop_stream.events import ClickBatch, ExposureBatch, Mark
from reloop_stream.log import EventLog, Partition, Record
from reloop_stream.log.codec import Decoded, Select, decode

__all__ = ["Dead", "FeedStopped", "SourcedClicks", "TickEvents", "TickFeed"]

POLL_S = 0.2  # how long one poll may wait: the longest that a stop request goes unheard
MAX_RECORDS = 2000  # a poll's worth of JSON events; of arrow records a poll is bounded by the fetch size first


class FeedStopped(Exception):
    """Reading was asked to stop while it waited for the next mark."""


class Dead(NamedTuple):
    """A record that could not be read, and why."""

    record: Record
    reason: str


class SourcedClicks(NamedTuple):
    """Clicks, and where each lies: the partition they came from and the offset of each one's record [n]."""

    batch: ClickBatch
    partition: Partition
    offsets: np.ndarray


@dataclass(frozen=True, slots=True)
class TickEvents:
    """All events of one tick."""

    tick: int
    watermark_ms: int
    exposures: list[ExposureBatch]
    clicks: list[SourcedClicks]
    dead: list[Dead]
    next_offsets: dict[Partition, int]  # behind this tick's marks, in every partition


@dataclass(slots=True)
class _Queue:
    """What has been read of one partition and not yet handed on."""

    decoded: deque[Decoded] = field(default_factory=deque)
    dead: deque[Dead] = field(default_factory=deque)
    marks: deque[int] = field(default_factory=deque)  # ticks of the marks among `decoded`


class TickFeed:
    """Hands on the events of one tick at a time. A tick is there once its mark has come in every partition.

    select: checks the features of exposures and keeps those that are wanted; what it refuses is dead.

    Marks must rise within a partition; the copy of a mark (a writer that went on after a crash) is passed over.
    """

    def __init__(
        self,
        log: EventLog,
        *,
        exposures: str,
        clicks: str,
        offsets: Mapping[Partition, int],
        last_tick: int = -1,
        select: Select | None = None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self._kinds = {exposures: "exposure", clicks: "click"}
        self._queues = {partition: _Queue() for partition in offsets}
        self._last_tick = last_tick
        self._select = select
        self._should_stop = should_stop
        self._reader = log.reader(offsets)

    def next_tick(self) -> TickEvents:
        """Wait for the next tick's marks and hand on its events. Raises FeedStopped, LogUnavailable, OffsetOutOfRange."""
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
        by_topic: dict[str, list[Record]] = {}
        for record in records:
            by_topic.setdefault(record.partition.topic, []).append(record)
        for topic, batch in by_topic.items():
            for item in decode(batch, self._kinds[topic], self._bury, self._select):  # type: ignore[arg-type]
                queue = self._queues[item.partition]
                if isinstance(item.batch, Mark):
                    if item.batch.tick <= self._last_tick or (queue.marks and item.batch.tick <= queue.marks[-1]):
                        continue
                    queue.marks.append(item.batch.tick)
                queue.decoded.append(item)

    def _bury(self, record: Record, reason: str) -> None:
        self._queues[record.partition].dead.append(Dead(record, reason))

    def _hand_on(self, tick: int) -> TickEvents:
        exposures: list[ExposureBatch] = []
        clicks: list[SourcedClicks] = []
        dead: list[Dead] = []
        next_offsets: dict[Partition, int] = {}
        watermark_ms = 0
        for partition, queue in self._queues.items():
            while not isinstance((item := queue.decoded.popleft()).batch, Mark):
                if isinstance(item.batch, ExposureBatch):
                    exposures.append(item.batch)
                elif isinstance(item.batch, ClickBatch):
                    clicks.append(SourcedClicks(item.batch, partition, item.offsets))
            watermark_ms = item.batch.watermark_ms
            next_offsets[partition] = item.next_offset
            queue.marks.popleft()
            while queue.dead and queue.dead[0].record.offset < item.next_offset:
                dead.append(queue.dead.popleft())
        return TickEvents(tick, watermark_ms, exposures, clicks, dead, next_offsets)

    def close(self) -> None:
        self._reader.close()
