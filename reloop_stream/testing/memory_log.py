"""A log in memory that pauses, ends and crashes on cue, so that a fault of the stream is data of a test."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self, TypeAlias

import numpy as np

from reloop_stream.codec.records import Payload
from reloop_stream.errors import LogError, OffsetOutOfRange, UnknownTopic
from reloop_stream.log import Partition, Record
from reloop_stream.testing.clock import ManualClock

__all__ = ["Crash", "Cue", "End", "MemoryLog", "Pause", "StreamCrashed"]


class StreamCrashed(Exception):
    """What a `Crash` raises: no error of this package, as a fault of a machine is none."""


@dataclass(frozen=True, slots=True)
class Pause:
    """So many polls bring nothing of the partition."""

    polls: int = 1


@dataclass(frozen=True, slots=True)
class End:
    """Here the partition seems to end. A reader that begins here, as after a restart, goes on behind it."""


@dataclass(frozen=True, slots=True)
class Crash:
    """The poll that comes to it raises. Whoever polls again, or begins here after a restart, goes on behind it."""

    error: BaseException = field(default_factory=lambda: StreamCrashed("on cue"))


Cue: TypeAlias = Pause | End | Crash


@dataclass(slots=True)
class _Partition:
    records: list[Record | None] = field(default_factory=list)  # by offset; None: compacted away
    begin: int = 0
    cues: list[tuple[int, Cue]] = field(default_factory=list)  # each before the record of its offset

    def next_cue(self, offset: int) -> tuple[int, Cue] | None:
        return next((one for one in self.cues if one[0] >= offset), None)

    def end(self) -> int:
        """Where it seems to end."""
        return next((at for at, cue in self.cues if isinstance(cue, End)), len(self.records))


class MemoryLog:
    """An `EventLog` for one process. Cues stand between records, in the order in which they were added.

    seed, most: a poll then brings fewer than `most` records of each partition, and the partitions in an order that the
        seed decides; without a seed, all that there are.
    clock: polls that bring nothing let it go on by their timeout, so that waiting takes no time.
    max_record_bytes: the largest value that any topic takes.

    >>> log = MemoryLog()
    >>> log.create_topics({"clicks": 1})
    >>> place = Partition("clicks", 0)
    >>> log.append(place, b"one"), log.cue(place, Pause()), log.append(place, b"two")
    (None, None, None)
    >>> reader = log.reader({place: 0})
    >>> [[record.value for record in reader.poll()] for _ in range(3)]
    [[b'one'], [], [b'two']]
    """

    def __init__(
        self,
        *,
        seed: int | None = None,
        most: int = 7,
        clock: ManualClock | None = None,
        max_record_bytes: int | None = None,
    ) -> None:
        self._max_record_bytes = max_record_bytes
        self._partitions: dict[Partition, _Partition] = {}
        self._random = None if seed is None else np.random.default_rng(seed)
        self._most = most
        self._clock = clock or ManualClock()
        self.committed: dict[str, dict[Partition, int]] = {}  # by group

    def append(
        self,
        partition: Partition,
        value: bytes | Payload,
        *,
        key: bytes | None = None,
        headers: Mapping[str, bytes] | None = None,
        more: bool = False,
        timestamp_ms: int | None = None,
    ) -> None:
        """Add a record, at once. Raises UnknownTopic, LogError where it is too large.

        timestamp_ms: when it is said to be written, as Kafka's records say it.
        """
        if isinstance(value, Payload):
            key, headers, value = value.key, value.headers, value.value
        if self._max_record_bytes is not None and len(value) > self._max_record_bytes:
            raise LogError(f"{partition.topic}: a record of {len(value)} bytes, takes {self._max_record_bytes}")
        place = self._at(partition)
        place.records.append(Record(partition, len(place.records), key, value, dict(headers or {}), timestamp_ms))

    def cue(self, partition: Partition, cue: Cue) -> None:
        """Have this happen behind the last record."""
        place = self._at(partition)
        place.cues.append((len(place.records), cue))

    def _at(self, partition: Partition) -> _Partition:
        if partition not in self._partitions:
            raise UnknownTopic(f"memory: has no {partition.topic}[{partition.number}]; create its topic first")
        return self._partitions[partition]

    def create_topics(self, partitions: Mapping[str, int], *, kept: bool = False) -> None:
        for topic, n in partitions.items():
            found = sum(partition.topic == topic for partition in self._partitions)
            if found not in (0, n):
                raise LogError(f"{topic}: exists with {found} partitions, asked for {n}; use another prefix")
            for number in range(n):
                self._partitions.setdefault(Partition(topic, number), _Partition())

    def topic_ids(self, topics: Iterable[str]) -> dict[str, str]:
        existing = {partition.topic for partition in self._partitions}
        return {topic: "" for topic in topics if topic in existing}

    def producer(self) -> _Producer:
        return _Producer(self)

    def reader(self, offsets: Mapping[Partition, int]) -> _Reader:
        for partition, offset in offsets.items():
            place = self._at(partition)
            if not place.begin <= offset <= len(place.records):
                raise OffsetOutOfRange(
                    f"{partition.topic}[{partition.number}]: offset {offset} is not retained: it holds {place.begin} to "
                    f"{len(place.records)}"
                )
            place.cues = [one for one in place.cues if one[0] > offset or (one[0] == offset and not self._is_over(one))]
        return _Reader(self, dict(offsets))

    @staticmethod
    def _is_over(cue: tuple[int, Cue]) -> bool:
        """Whether a reader that begins at the cue's offset has it behind it."""
        return cue[0] > 0 and isinstance(cue[1], End | Crash)

    def partitions(self, topic: str) -> list[Partition]:
        found = sorted(partition for partition in self._partitions if partition.topic == topic)
        if not found:
            raise UnknownTopic(f"memory: has no topic {topic}; create it first")
        return found

    def begin_offsets(self, partitions: Sequence[Partition]) -> dict[Partition, int]:
        return {partition: self._at(partition).begin for partition in partitions}

    def end_offsets(self, partitions: Sequence[Partition]) -> dict[Partition, int]:
        return {partition: self._at(partition).end() for partition in partitions}

    def max_record_bytes(self, topic: str) -> int | None:
        return self._max_record_bytes

    def delete_before(self, offsets: Mapping[Partition, int]) -> None:
        for partition, offset in offsets.items():
            place = self._at(partition)
            place.begin = max(place.begin, min(offset, len(place.records)))

    def compact(self, topic: str) -> None:
        """Leave of the records of each key the last, as Kafka does at leisure. Those without a key stay."""
        for partition in self.partitions(topic):
            records = self._at(partition).records
            last = {record.key: record.offset for record in records if record is not None}
            for at, record in enumerate(records):
                if record is not None and record.key is not None and last[record.key] != at:
                    records[at] = None

    def delete_topics(self, topics: Iterable[str]) -> None:
        gone = set(topics)
        self._partitions = {at: place for at, place in self._partitions.items() if at.topic not in gone}

    def commit(self, group: str, offsets: Mapping[Partition, int]) -> None:
        self.committed[group] = dict(offsets)

    def close(self) -> None:
        """Nothing is held."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Producer:
    def __init__(self, log: MemoryLog) -> None:
        self.append = log.append

    def flush(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """Nothing is held."""


class _Reader:
    def __init__(self, log: MemoryLog, offsets: dict[Partition, int]) -> None:
        self._log = log
        self._offsets = offsets
        self._paused: frozenset[Partition] = frozenset()
        self._waits: dict[Partition, int] = {}  # polls that are still to bring nothing

    def pause(self, partitions: Collection[Partition]) -> None:
        self._paused = frozenset(partitions)

    def poll(self, timeout_s: float = 0.0, max_records: int = 5000) -> list[Record]:
        found: list[Record] = []
        for partition in self._in_turn():
            if partition not in self._paused and len(found) < max_records:
                found += self._read(partition, max_records - len(found))
        if not found:
            self._log._clock.advance(timeout_s)
        return found

    def _in_turn(self) -> list[Partition]:
        places = list(self._offsets)
        random = self._log._random
        return places if random is None else [places[i] for i in random.permutation(len(places)).tolist()]

    def _read(self, partition: Partition, most: int) -> list[Record]:
        if self._log._random is not None:
            most = min(most, int(self._log._random.integers(0, self._log._most)))
        place, at = self._log._at(partition), self._offsets[partition]
        cue = place.next_cue(at)
        if cue is not None and cue[0] == at:
            if not self._meet(partition, place, cue[1]):
                return []
            cue = place.next_cue(at)
        stop = min(at + most, len(place.records) if cue is None else cue[0])
        self._offsets[partition] = stop
        return [record for record in place.records[at:stop] if record is not None]

    def _meet(self, partition: Partition, place: _Partition, cue: Cue) -> bool:
        """Do what the cue asks for; whether to go on behind it."""
        if isinstance(cue, End):
            return False
        if isinstance(cue, Crash):
            place.cues.remove((self._offsets[partition], cue))
            raise cue.error
        left = self._waits.setdefault(partition, cue.polls)
        if left == 0:
            del self._waits[partition]
            place.cues.remove((self._offsets[partition], cue))
            return True
        self._waits[partition] = left - 1
        return False

    def position(self) -> dict[Partition, int]:
        return dict(self._offsets)

    def close(self) -> None:
        """Nothing is held."""
