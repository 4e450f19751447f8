"""Where past ticks ended, kept for as long as a learner may read their events again, and that reading."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from reloop_stream.codec.records import Decoded, Select
from reloop_stream.events import Batch, ExampleBatch, Mark
from reloop_stream.log import EventLog, Partition, Reader
from reloop_stream.log.topics import Topics
from reloop_stream.stream.event_feed import MAX_RECORDS, POLL_S, FeedStopped, PartitionEvents, decode_both
from reloop_stream.stream.partition_joins import JoinSettings, PartitionJoins

__all__ = ["Past", "TickEnd", "read_again"]


class TickEnd(NamedTuple):
    """Where a tick ended: its watermark, and the offset behind it in each partition that was read."""

    watermark_ms: int
    offsets: Mapping[Partition, int]


class Past:
    """The ends of past ticks, oldest first. There is always one."""

    def __init__(self, ends: Sequence[TickEnd]) -> None:
        self._ends = deque(ends)

    def __iter__(self) -> Iterator[TickEnd]:
        return iter(self._ends)

    def remember(self, end: TickEnd, memory_ms: int) -> None:
        """Add a tick's end, and forget those of which only events more than `memory_ms` before it could be read."""
        self._ends.append(end)
        while len(self._ends) > 1 and self._ends[1].watermark_ms <= end.watermark_ms - memory_ms:
            self._ends.popleft()

    def beside(self, other: Past) -> Past:
        """This past with the partitions that another one names too, where their ticks ended together."""
        theirs = {end.watermark_ms: end.offsets for end in other}
        return Past([TickEnd(at_ms, {**theirs.get(at_ms, {}), **offsets}) for at_ms, offsets in self])

    @property
    def first(self) -> TickEnd:
        return self._ends[0]

    @property
    def last(self) -> TickEnd:
        return self._ends[-1]

    def state(self) -> list[Any]:
        """As JSON."""
        return [
            [end.watermark_ms, [[partition.topic, partition.number, at] for partition, at in end.offsets.items()]]
            for end in self._ends
        ]

    @classmethod
    def from_state(cls, state: Sequence[Any]) -> Past:
        return cls([TickEnd(at_ms, {Partition(topic, n): at for topic, n, at in offsets}) for at_ms, offsets in state])


def read_again(
    log: EventLog,
    topics: Topics,
    past: Past,
    settings: JoinSettings,
    select: Select | None,
    should_stop: Callable[[], bool],
) -> Iterator[ExampleBatch]:
    """The examples of the past's ticks again. Ticks are cut at the offsets where they ended, whatever ended them.

    A partition is read from where the past first names it, for as long as it does: a fork may go on with fewer of them, or
    with more. Raises FeedStopped, LogUnavailable, OffsetOutOfRange.
    """
    ends = list(past)
    start: dict[Partition, int] = {}
    for end in ends:
        start = {**end.offsets, **start}
    again = _PastReader(log, topics, start, select, should_stop)
    joins = PartitionJoins(sorted({partition.number for partition in start}), settings)
    try:
        for end in ends[1:]:
            events = {number: PartitionEvents() for number in sorted({p.number for p in end.offsets})}
            for partition, offset in end.offsets.items():
                for item in again.until(partition, offset):
                    events[partition.number].add(item.batch, item.offsets)
            examples = joins.release(events, end.watermark_ms).examples
            if examples is not None:
                yield examples
    finally:
        again.close()


class _PastReader:
    """Reads partitions up to given offsets."""

    def __init__(
        self,
        log: EventLog,
        topics: Topics,
        start: Mapping[Partition, int],
        select: Select | None,
        should_stop: Callable[[], bool],
    ) -> None:
        self._reader: Reader = log.reader(start)
        self._topics = topics
        self._queues: dict[Partition, deque[Decoded]] = {partition: deque() for partition in start}
        self._select = select
        self._should_stop = should_stop

    def until(self, partition: Partition, offset: int) -> Iterator[Decoded]:
        """The partition's events up to the offset that have not been handed on yet. Marks are passed over."""
        while self._reader.position()[partition] < offset:
            if self._should_stop():
                raise FeedStopped
            records = self._reader.poll(POLL_S, MAX_RECORDS)
            for item in decode_both(records, self._topics, lambda record, reason: None, self._select):
                if not isinstance(item.batch, Mark):
                    self._queues[item.partition].append(item)
        queue = self._queues[partition]
        while queue and queue[0].offsets[0] < offset:
            item = queue.popleft()
            n = int(item.offsets.searchsorted(offset))
            if n < len(item.offsets):
                assert isinstance(item.batch, Batch)
                queue.appendleft(item._replace(batch=item.batch.part(slice(n, None)), offsets=item.offsets[n:]))
                item = item._replace(batch=item.batch.part(slice(0, n)), offsets=item.offsets[:n])
            yield item

    def close(self) -> None:
        self._reader.close()
