"""Reading exposures and clicks tick by tick where marks end the ticks, over all assigned partitions of both topics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np

from reloop_stream.codec.records import Decoded, OnDead, Select, decode
from reloop_stream.events import ClickBatch, EventKind, ExposureBatch
from reloop_stream.log import Partition, Record
from reloop_stream.log.topics import Topics

__all__ = [
    "BEGINNING_MS",
    "Dead",
    "EventFeed",
    "FeedStopped",
    "PartitionEvents",
    "Position",
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
    """A record that could not be read, and why. It may have lost its bytes, where many wait: they are in the log."""

    record: Record
    reason: str


class SourcedClicks(NamedTuple):
    """Clicks, and the offset of each one's record, int64 [n]."""

    batch: ClickBatch
    offsets: np.ndarray


class Position(NamedTuple):
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


class EventFeed(Protocol):
    """Hands on the events of one tick after the other."""

    @property
    def numbers(self) -> list[int]:
        """The partition numbers that are read, the same in both topics."""

    @property
    def select(self) -> Select | None:
        """What is let in."""

    @property
    def positions(self) -> Mapping[Partition, Position]:
        """Where each partition goes on behind the last tick handed on."""

    def next_tick(self) -> TickEvents:
        """Wait for the end of the next tick. Raises FeedStopped, LogUnavailable, OffsetOutOfRange."""

    def restore(self, tick: int, positions: Mapping[Partition, Position]) -> None:
        """Go on behind `tick`, from these positions."""

    def close(self) -> None: ...


def both_topics(topics: Topics, numbers: Sequence[int]) -> list[Partition]:
    """The partitions with these numbers, of exposures and then of clicks."""
    return [Partition(topic, number) for topic in (topics.exposures, topics.clicks) for number in numbers]


def decode_both(records: Sequence[Record], topics: Topics, on_dead: OnDead, select: Select | None) -> Iterator[Decoded]:
    """The events of a poll, exposures first, each partition's in order. select: see `reloop_stream.codec.records.decode`."""
    kinds: tuple[tuple[str, EventKind], ...] = ((topics.exposures, "exposure"), (topics.clicks, "click"))
    for topic, kind in kinds:
        yield from decode([record for record in records if record.partition.topic == topic], kind, on_dead, select)
