"""Reading exposures and clicks tick by tick where no marks end the ticks: event time does.

A tick is a stretch of event time of fixed length. In each partition a record belongs to the tick that the partition's
clock, the latest event time up to and including the record, stands in: a function of the log alone. A tick ends when
every partition of both topics has a record of a later one; a partition that has been silent for a stated time is not
waited for. That idle time is the one thing that depends on the wall clock: what a partition brings after it was taken
for idle belongs to the next tick. Empty stretches of event time are jumped over, and while all partitions are silent
nothing ends.

An arrow record holds many events and may span ticks. It belongs whole to the tick of its earliest event (or of the
clock before it, where that is later): an event that comes before its tick waits in the join, one that came after it
might find its window closed. So an offset alone says where a checkpoint stands.

A click moves the clock to its click time, yet no further than the end of its attribution window: a user's clock that is
wrong by years must not end everyone's ticks.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from reloop_stream.codec.records import Decoded, Select
from reloop_stream.events import Batch, ClickBatch, ExposureBatch, Mark
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
from reloop_stream.stream.feed_watch import FeedWatch

__all__ = ["EventTimeFeed", "FeedEnded", "Horizon", "Ticks", "next_complete"]

# What may wait of one partition for the others before it is read no further: so many events, or so many bytes.
READ_AHEAD = 100_000
READ_AHEAD_BYTES = 64 << 20
DEAD_BYTES = 16 << 20  # what waits of a partition's dead letters; those beyond it wait without their bytes
NEVER = float("inf")


class FeedEnded(Exception):
    """Everything up to the ends that were asked for has been handed on."""


class Ticks(NamedTuple):
    """How event time is cut.

    tick_ms: length of a tick. attribution_ms: how far after its exposure a click may move the clock. idle_s: seconds of
    waiting after which a silent partition is not waited for. max_ahead_ms: how far beyond its neighbours an event's time
    may lie without a warning, where the log does not know when it was written.
    """

    tick_ms: int
    attribution_ms: int
    idle_s: float
    max_ahead_ms: int | None = None


class Horizon(NamedTuple):
    """How far some partitions have been read, in ticks.

    head: the first tick of which something waits to be handed on. reached: the last one. bound: the tick that every
    partition that is waited for has reached. ended: all partitions have been read to the ends that were asked for.
    """

    head: float
    reached: float
    bound: float
    ended: bool


def next_complete(horizons: Iterable[Horizon], last_tick: float) -> int | None:
    """The next tick after the last, if it has ended for all of these partitions.

    >>> next_complete([Horizon(3, 5, 5, False), Horizon(4, 4, 4, False)], last_tick=1)
    3
    >>> next_complete([Horizon(3, 5, 5, False), Horizon(3, 3, 3, False)], last_tick=1) is None
    True
    """
    several = list(horizons)
    head = min(horizon.head for horizon in several)
    if head == NEVER:
        return None
    head = max(head, last_tick + 1)  # what was taken for idle may bring events of ticks that are over
    is_past = all(horizon.bound > head for horizon in several) and any(horizon.reached > head for horizon in several)
    return int(head) if is_past or all(horizon.ended for horizon in several) else None


class _Piece(NamedTuple):
    """Consecutive records of one partition and tick."""

    tick: int
    first_offset: int
    clock_ms: int  # behind them
    item: Decoded
    bytes: float  # what its records take in the log


@dataclass(slots=True)
class _Queue:
    """What has been read of one partition and not yet handed on."""

    handed_ms: int  # the clock behind what has been handed on
    clock_ms: int  # the clock behind what has been read
    pieces: deque[_Piece] = field(default_factory=deque)
    dead: deque[Dead] = field(default_factory=deque)
    events: int = 0
    bytes: float = 0.0
    dead_bytes: int = 0
    quiet_s: float = 0.0  # how long it has been waited for in vain

    def add(self, item: Decoded, ticks: Ticks, bytes_each: float) -> None:
        """Cut into ticks what has been read. bytes_each: of an event, on average."""
        self.quiet_s = 0.0
        batch = item.batch
        if isinstance(batch, Mark):
            self.clock_ms = max(self.clock_ms, batch.watermark_ms)
            self._append(self.clock_ms // ticks.tick_ms, item.next_offset - 1, item, 0.0)
            return
        times = _times(batch, ticks.attribution_ms)
        self.events += len(times)
        first, last = int(item.offsets[0]), int(item.offsets[-1])
        if first == last:  # one record
            earliest, latest = int(times.min()), int(times.max())
            tick = max(self.clock_ms, earliest) // ticks.tick_ms
            self.clock_ms = max(self.clock_ms, latest)
            self._append(tick, first, item, bytes_each * len(times))
            return
        clocks = np.maximum(np.maximum.accumulate(times), self.clock_ms)
        of_tick = clocks // ticks.tick_ms
        cuts = [0, *(np.flatnonzero(np.diff(of_tick)) + 1).tolist(), len(times)]
        for start, stop in pairwise(cuts):
            rows = slice(start, stop)
            self.clock_ms = int(clocks[stop - 1])
            offsets = item.offsets[rows]
            part = Decoded(item.partition, batch.part(rows), int(offsets[-1]) + 1, offsets)
            self._append(int(of_tick[start]), int(offsets[0]), part, bytes_each * (stop - start))

    def _append(self, tick: int, first_offset: int, item: Decoded, size: float) -> None:
        self.bytes += size
        self.pieces.append(_Piece(tick, first_offset, self.clock_ms, item, size))

    def bury(self, record: Record, reason: str) -> None:
        if self.dead_bytes + len(record.value) > DEAD_BYTES:
            record, reason = replace(record, value=b"", headers={}), f"{reason[:200]} (its bytes were too many to keep)"
        self.dead_bytes += len(record.value)
        self.dead.append(Dead(record, reason))

    @property
    def is_full(self) -> bool:
        """Whether enough waits here, of more than the tick that all others may be in."""
        is_much = self.events >= READ_AHEAD or self.bytes >= READ_AHEAD_BYTES
        return is_much and self.pieces[0].tick < self.pieces[-1].tick


def _times(batch: Batch, attribution_ms: int) -> np.ndarray:
    """The time to which each event moves the clock."""
    if isinstance(batch, ClickBatch):
        times: np.ndarray = np.minimum(batch.click_time_ms, batch.event_time_ms + attribution_ms)
        return times
    assert isinstance(batch, ExposureBatch)
    return np.asarray(batch.event_time_ms)


class EventTimeFeed:
    """A feed whose ticks are stretches of event time.

    numbers: the partitions to read, from their beginning where `restore` does not say otherwise.
    select: what is let in; what it refuses is dead. See `reloop_stream.codec.records.decode`.
    ends: offsets to read up to. A partition that has got there is waited for no longer, and when all have, the ticks that
        are left end too and `next_tick` raises FeedEnded.
    clock: seconds of the wall clock, by which partitions are taken for idle.

    `next_tick` does all that one process needs. Where several share the partitions, each polls, tells its horizon, and
    takes the ticks that `next_complete` finds over all of them.
    """

    def __init__(
        self,
        log: EventLog,
        topics: Topics,
        numbers: Sequence[int],
        ticks: Ticks,
        *,
        select: Select | None = None,
        ends: Mapping[Partition, int] | None = None,
        should_stop: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.numbers = list(numbers)
        self._log = log
        self._topics = topics
        self._ticks = ticks
        self.select = select
        self._ends = ends
        self._should_stop = should_stop
        self._clock = clock
        self._partitions = both_topics(topics, numbers)
        self._watch = FeedWatch(topics, ticks.max_ahead_ms)
        begin = log.begin_offsets(self._partitions)
        self._reader: Reader | None = None
        self.restore(None, {partition: Position(offset) for partition, offset in begin.items()})

    def restore(self, tick: int | None, positions: Mapping[Partition, Position]) -> None:
        """Go on behind `tick` (None: there was none), from these positions."""
        self.close()
        self._last_tick = -NEVER if tick is None else tick
        self.positions = {partition: positions[partition] for partition in self._partitions}
        self._queues = {p: _Queue(positions[p].clock_ms, positions[p].clock_ms) for p in self._partitions}

    def next_tick(self) -> TickEvents:
        """Wait for the end of the next tick. Raises FeedEnded, FeedStopped, LogUnavailable, OffsetOutOfRange."""
        while True:
            horizon = self.horizon()
            if (tick := next_complete([horizon], self._last_tick)) is not None:
                return self.take(tick)
            if horizon.ended:
                self._watch.ended()
                raise FeedEnded
            if self._should_stop():
                raise FeedStopped
            self.poll(POLL_S)

    def poll(self, timeout_s: float) -> bool:
        """Read on, and say whether anything came. The time that this takes counts as waiting."""
        if self._reader is None:
            self._reader = self._log.reader(self._offsets())
        full = [partition for partition, queue in self._queues.items() if queue.is_full]
        position = self._reader.position()
        ended = [partition for partition, end in (self._ends or {}).items() if position.get(partition, 0) >= end]
        self._reader.pause({*full, *ended} & self._queues.keys())
        started = self._clock()
        records = self._reader.poll(timeout_s, MAX_RECORDS)
        self.waited(self._clock() - started)
        for partition in {*full, *(record.partition for record in records)}:
            self._queues[partition].quiet_s = 0.0
        decoded = list(decode_both(records, self._topics, self._bury, self.select))
        events = sum(len(item.offsets) for item in decoded)
        bytes_each = sum(len(record.value) for record in records) / max(events, 1)
        for item in decoded:
            self._queues[item.partition].add(item, self._ticks, bytes_each)
        self._watch.polled(records, decoded)
        return bool(records)

    def waited(self, seconds: float) -> None:
        """Count time during which nothing would have been missed by not polling."""
        for queue in self._queues.values():
            queue.quiet_s += seconds

    def _bury(self, record: Record, reason: str) -> None:
        self._queues[record.partition].bury(record, reason)
        self._watch.buried(Dead(record, reason))

    def _position(self) -> Mapping[Partition, int]:
        return self._offsets() if self._reader is None else self._reader.position()

    def _offsets(self) -> dict[Partition, int]:
        return {partition: place.next_offset for partition, place in self.positions.items()}

    def horizon(self) -> Horizon:
        """How far this feed's partitions have been read."""
        position = self._position()
        head, reached, bound, ended = NEVER, -NEVER, NEVER, self._ends is not None
        for partition, queue in self._queues.items():
            is_silent = queue.quiet_s >= self._ticks.idle_s
            if self._ends is not None:
                is_at_end = position[partition] >= self._ends[partition]
                is_silent = is_silent or is_at_end
                ended = ended and is_at_end
            if queue.pieces:
                head, reached = min(head, queue.pieces[0].tick), max(reached, queue.pieces[-1].tick)
            if not is_silent:
                bound = min(bound, queue.pieces[-1].tick if queue.pieces else -NEVER)
        return Horizon(head, reached, bound, ended)

    def take(self, tick: int) -> TickEvents:
        """Hand on everything that waits, up to and including the tick."""
        self._last_tick = tick
        position = self._position()
        events = {number: PartitionEvents() for number in self.numbers}
        dead: list[Dead] = []
        for partition, queue in self._queues.items():
            while queue.pieces and queue.pieces[0].tick <= tick:
                piece = queue.pieces.popleft()
                queue.handed_ms = piece.clock_ms
                queue.bytes -= piece.bytes
                if isinstance(piece.item.batch, Batch):
                    queue.events -= len(piece.item.batch)
                    events[partition.number].add(piece.item.batch, piece.item.offsets)
            next_offset = queue.pieces[0].first_offset if queue.pieces else position[partition]
            self.positions[partition] = Position(next_offset, queue.handed_ms)
            while queue.dead and queue.dead[0].record.offset < next_offset:
                dead.append(queue.dead.popleft())
                queue.dead_bytes -= len(dead[-1].record.value)
        return TickEvents(tick, (tick + 1) * self._ticks.tick_ms, events, dead)

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None
