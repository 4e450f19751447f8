"""A feed whose ticks end with marks: the lab's."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from reloop_stream.codec.records import Decoded, Select
from reloop_stream.events import Mark
from reloop_stream.log import EventLog, Partition, Reader, Record
from reloop_stream.log.topics import Topics
from reloop_stream.stream.event_feed import (
    MAX_RECORDS,
    POLL_S,
    Dead,
    FeedStopped,
    PartitionEvents,
    Position,
    TickEvents,
    both_topics,
    decode_both,
)

__all__ = ["MarkFeed"]


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
        self.restore(-1, {partition: Position(offset) for partition, offset in begin.items()})

    def restore(self, tick: int, positions: Mapping[Partition, Position]) -> None:
        self.close()
        self._last_tick = tick
        self.positions = {partition: positions[partition] for partition in self._partitions}
        self._queues = {partition: _Queue() for partition in self._partitions}

    def next_tick(self) -> TickEvents:
        if self._reader is None:
            self._reader = self._log.reader(
                {partition: place.next_offset for partition, place in self.positions.items()}
            )
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
            self.positions[partition] = Position(item.next_offset, watermark_ms)
            queue.marks.popleft()
            while queue.dead and queue.dead[0].record.offset < item.next_offset:
                dead.append(queue.dead.popleft())
        return TickEvents(tick, watermark_ms, events, dead)

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None
