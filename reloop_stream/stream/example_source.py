"""From records to labelled examples: a feed, and one join for each partition that it reads.

An exposure and its clicks are in the same partition number of both topics, so that partitions join apart from each
other: any number of processes can share them, and each partition's state can go on anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from reloop_stream.codec.records import Select, batch_from_bytes, batch_to_bytes
from reloop_stream.events import ExampleBatch
from reloop_stream.log import Partition
from reloop_stream.log.topics import Topics
from reloop_stream.state.checkpoint import Sections
from reloop_stream.stream.event_feed import Dead, EventFeed, Position, TickEvents
from reloop_stream.stream.join import JoinCounts, JoinState
from reloop_stream.stream.partition_joins import JoinSettings, PartitionJoins
from reloop_stream.stream.pending import LoggedClicks

__all__ = ["ExampleSource", "JoinedFeed", "JoinedTick", "PartitionState", "moved_to"]


class JoinedTick(NamedTuple):
    """What one tick gave: labelled examples in the order (label_time_ms, exposure_id), and what was set aside.

    examples, outcomes, unknown: see `reloop_stream.stream.join.Released`. counts: since the beginning, over all partitions.
    """

    tick: int
    watermark_ms: int
    examples: ExampleBatch | None
    outcomes: ExampleBatch | None
    unknown: LoggedClicks | None
    dead: list[Dead]
    counts: JoinCounts
    next_offsets: dict[Partition, int]  # behind this tick, in every partition


@dataclass(frozen=True, slots=True)
class PartitionState:
    """One partition number of both topics after a tick: how far it has been read, and its join."""

    exposures: Position
    clicks: Position
    join: JoinState

    def put(self, sections: Sections, number: int) -> None:
        """Add it to a checkpoint."""
        name, join = f"partition/{number}", self.join
        meta = {
            "exposures": list(self.exposures),
            "clicks": list(self.clicks),
            "watermark_ms": join.watermark_ms,
            "counts": join.counts.as_dict(),
        }
        sections.put(name, meta, {"clicked": join.clicked})
        if join.exposures is not None:
            sections.put_bytes(f"{name}/pending", batch_to_bytes(join.exposures))
        if (clicks := join.clicks) is not None:
            arrays = {"time": clicks.event_time_ms, "click": clicks.click_time_ms}
            arrays |= {"partition": clicks.partition, "offset": clicks.offset}
            sections.put(f"{name}/clicks", {"exposure_id": clicks.exposure_id.tolist()}, arrays)

    @classmethod
    def get(cls, sections: Sections, number: int) -> PartitionState:
        """What `put` added. Raises CheckpointError where there is none."""
        name = f"partition/{number}"
        meta, arrays = sections.get(name)
        exposures = clicks = None
        if f"{name}/pending" in sections:
            exposures = batch_from_bytes(sections.get_bytes(f"{name}/pending"), "exposure")
        if f"{name}/clicks" in sections:
            ids, found = sections.get(f"{name}/clicks")
            values = ids["exposure_id"]
            exposure_id = np.array(values, dtype=np.int64 if isinstance(values[0], int) else object)
            clicks = LoggedClicks(exposure_id, found["time"], found["click"], found["partition"], found["offset"])
        join = JoinState(
            exposures, arrays["clicked"].astype(bool), clicks, JoinCounts(**meta["counts"]), meta["watermark_ms"]
        )
        return cls(Position(*meta["exposures"]), Position(*meta["clicks"]), join)


def moved_to(
    topics: Topics, begin: Mapping[Partition, int], states: Mapping[int, PartitionState], numbers: Sequence[int]
) -> dict[int, PartitionState]:
    """The states of another log's partitions as states of these topics' partitions, where `begin` says that they begin.

    The first of `numbers` takes over all that is open, the others nothing.
    """
    merged = JoinState.merged([state.join for state in states.values()])
    nothing = JoinState(None, np.zeros(0, dtype=bool), None, JoinCounts(), merged.watermark_ms)
    return {
        number: PartitionState(
            Position(begin[Partition(topics.exposures, number)]),
            Position(begin[Partition(topics.clicks, number)]),
            merged if place == 0 else nothing,
        )
        for place, number in enumerate(numbers)
    }


class ExampleSource(Protocol):
    """Where a worker gets its labelled examples from, tick by tick."""

    @property
    def settings(self) -> JoinSettings: ...

    @property
    def select(self) -> Select | None:
        """What is let in; see `reloop_stream.codec.records.decode`."""

    @property
    def numbers(self) -> list[int]:
        """The partition numbers that it reads, the same in both topics."""

    def next_tick(self, *, rest: bool = False) -> JoinedTick:
        """Wait for the next tick. Raises FeedStopped, FeedEnded, LogUnavailable, OffsetOutOfRange.

        rest: begin nothing beyond this tick, for `states` will be asked for after it.
        """

    def states(self) -> dict[int, PartitionState]:
        """Each partition's state after the last tick handed on."""

    def restore(self, tick: int, states: Mapping[int, PartitionState]) -> None:
        """Go on behind `tick` with these states of the partitions."""

    def close(self) -> None: ...


class JoinedFeed:
    """A source in this process: a feed and its partitions' joins."""

    def __init__(self, feed: EventFeed, topics: Topics, settings: JoinSettings) -> None:
        self.settings = settings
        self._feed = feed
        self._topics = topics
        self._joins = PartitionJoins(feed.numbers, settings)

    @property
    def numbers(self) -> list[int]:
        return self._feed.numbers

    @property
    def select(self) -> Select | None:
        return self._feed.select

    def next_tick(self, *, rest: bool = False) -> JoinedTick:
        return self.join(self._feed.next_tick())

    def join(self, events: TickEvents) -> JoinedTick:
        """Join a tick's events: the other half of `next_tick`, for whoever reads the feed itself."""
        joined = self._joins.release(events.partitions, events.watermark_ms)
        next_offsets = {partition: place.next_offset for partition, place in self._feed.positions.items()}
        return JoinedTick(
            events.tick,
            events.watermark_ms,
            joined.examples,
            joined.outcomes,
            joined.unknown,
            events.dead,
            joined.counts,
            next_offsets,
        )

    def states(self) -> dict[int, PartitionState]:
        return {
            number: PartitionState(
                self._feed.positions[Partition(self._topics.exposures, number)],
                self._feed.positions[Partition(self._topics.clicks, number)],
                join,
            )
            for number, join in self._joins.states().items()
        }

    def restore(self, tick: int, states: Mapping[int, PartitionState]) -> None:
        self._joins.restore({number: states[number].join for number in self.numbers})
        positions: dict[Partition, Position] = {}
        for number in self.numbers:
            positions[Partition(self._topics.exposures, number)] = states[number].exposures
            positions[Partition(self._topics.clicks, number)] = states[number].clicks
        self._feed.restore(tick, positions)

    def close(self) -> None:
        self._feed.close()
