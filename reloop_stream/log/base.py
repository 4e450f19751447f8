"""What an event log is: Kafka's own ideas (topics, partitions, offsets, headers, retention) as a small protocol.

Two implementations keep it: `reloop_stream.log.embedded` (files in a folder) and `reloop_stream.log.kafka`. Both are
single-writer per (topic, partition), at least once, and ordered within a partition.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import NamedTuple, Protocol, Self, runtime_checkable

__all__ = ["EventLog", "Partition", "Producer", "Reader", "Record"]


class Partition(NamedTuple):
    """One partition of one topic."""

    topic: str
    number: int


@dataclass(frozen=True, slots=True)
class Record:
    """One record as it lies in the log. `offset` names it; offsets rise, and may have gaps (as Kafka's do).

    timestamp_ms: when it was written, by Kafka's own account, the same at each reading; None where the log keeps none.
    """

    partition: Partition
    offset: int
    key: bytes | None
    value: bytes
    headers: Mapping[str, bytes]
    timestamp_ms: int | None = None


class Producer(Protocol):
    """Appends records. Made and used within one process."""

    def append(
        self,
        partition: Partition,
        value: bytes,
        *,
        key: bytes | None = None,
        headers: Mapping[str, bytes] | None = None,
        more: bool = False,
    ) -> None:
        """Append one record, in call order within a partition. May return before it is durable; blocks when too much
        is in flight. Raises UnknownTopic; LogUnavailable after the log's stated wait.

        more: others follow, and it may wait to travel with them: until the next one without, or a flush.
        """

    def flush(self) -> None:
        """Return when every record appended so far can be read. Raises LogUnavailable after the log's stated wait."""

    def close(self) -> None:
        """Flush, then release what is held."""


class Reader(Protocol):
    """Reads assigned partitions from given offsets on; commits nothing, forgets nothing."""

    def poll(self, timeout_s: float = 0.0, max_records: int = 5000) -> list[Record]:
        """Records that follow what was polled before, in order within each partition; an empty list when none came
        within `timeout_s`. Never returns a part of a record. Raises OffsetOutOfRange, LogUnavailable."""

    def pause(self, partitions: Collection[Partition]) -> None:
        """From now on leave these partitions out of polls, and no others: back-pressure for those that are ahead."""

    def position(self) -> dict[Partition, int]:
        """For each assigned partition the offset of the next record to read: one past the last polled record, or the
        offset that reading began at."""

    def close(self) -> None:
        """Release what is held."""


@runtime_checkable
class EventLog(Protocol):
    """A log. Cheap to make; open one in each process (`reloop_stream.log.open_log`)."""

    def create_topics(self, partitions: Mapping[str, int], *, kept: bool = False) -> None:
        """Create the topics that do not exist. Raises LogError where one exists with another number of partitions.

        kept: no record of theirs goes before `delete_before` says so. Else they follow the broker's defaults.
        """

    def topic_ids(self, topics: Iterable[str]) -> dict[str, str]:
        """For each of the topics that exists, what tells it from another of its name, made later or elsewhere; an empty
        text where the log has nothing of the kind."""

    def producer(self) -> Producer: ...

    def reader(self, offsets: Mapping[Partition, int]) -> Reader:
        """A reader of exactly these partitions, each from its offset. Raises UnknownTopic, OffsetOutOfRange."""

    def partitions(self, topic: str) -> list[Partition]:
        """The topic's partitions by number, as they are now. Raises UnknownTopic."""

    def begin_offsets(self, partitions: Sequence[Partition]) -> dict[Partition, int]:
        """The first retained offset of each."""

    def end_offsets(self, partitions: Sequence[Partition]) -> dict[Partition, int]:
        """One past the last record of each; on Kafka past the last that is committed."""

    def max_record_bytes(self, topic: str) -> int | None:
        """The largest record that the topic takes, headers included; None where any size will do."""

    def delete_before(self, offsets: Mapping[Partition, int]) -> None:
        """Allow records before these offsets to go (Kafka's delete_records). May keep more than it must."""

    def delete_topics(self, topics: Iterable[str]) -> None:
        """Remove the topics that exist, with all their records."""

    def commit(self, group: str, offsets: Mapping[Partition, int]) -> None:
        """Note a group's progress, for lag displays alone: nothing here ever reads it back."""

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
