"""From records to labelled examples: a feed, and one join for each partition that it reads.

An exposure and its clicks are in the same partition number of both topics, so that partitions join apart from each
other: any number of processes can share them, and each partition's state can go on anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from reloop_stream.codec.records import Select, batch_from_bytes, batch_to_bytes
from reloop_stream.events import ExampleBatch
from reloop_stream.feed import Dead, Feed, PartitionEvents, Place, TickEvents
from reloop_stream.join import Emit, Join, JoinCounts, JoinState, LoggedClicks, Released, in_order
from reloop_stream.log import Partition
from reloop_stream.log.topics import Topics
from reloop_stream.state.checkpoint import Sections

__all__ = ["JoinSettings", "Joined", "JoinedFeed", "JoinedTick", "PartitionJoins", "PartitionState", "Source", "merge"]


class JoinSettings(NamedTuple):
    """What every partition's join is made with; see `reloop_stream.join.Join`."""

    attribution_ms: int
    emit: Emit = "at_close"

    def join(self) -> Join:
        return Join(self.attribution_ms, self.emit)


class Joined(NamedTuple):
    """What one release gave, over any number of partitions; examples and outcomes are in order."""

    examples: ExampleBatch | None
    outcomes: ExampleBatch | None
    unknown: LoggedClicks | None
    counts: JoinCounts  # since the beginning


class JoinedTick(NamedTuple):
    """What one tick gave: labelled examples in the order (label_time_ms, exposure_id), and what was set aside.

    examples, outcomes, unknown: see `reloop_stream.join.Released`. counts: since the beginning, over all partitions.
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

    exposures: Place
    clicks: Place
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
        """What `put` added. Raises SnapshotError where there is none."""
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
        return cls(Place(*meta["exposures"]), Place(*meta["clicks"]), join)


class Source(Protocol):
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


class PartitionJoins:
    """The joins of several partitions, released together."""

    def __init__(self, numbers: Iterable[int], settings: JoinSettings) -> None:
        self._joins = {number: settings.join() for number in numbers}

    def release(self, events: Mapping[int, PartitionEvents], watermark_ms: int) -> Joined:
        """Add a tick's events, partition by partition, and release what is settled at the watermark."""
        released = []
        for number, of_partition in events.items():
            join = self._joins[number]
            for batch in of_partition.exposures:
                join.add_exposures(batch)
            for clicks in of_partition.clicks:
                join.add_clicks(clicks.batch, number, clicks.offsets)
            released.append(join.release(watermark_ms))
        return merge([_joined(one, JoinCounts()) for one in released])._replace(
            counts=JoinCounts.total(join.counts for join in self._joins.values())
        )

    def states(self) -> dict[int, JoinState]:
        return {number: join.state() for number, join in self._joins.items()}

    def restore(self, states: Mapping[int, JoinState]) -> None:
        for number, join in self._joins.items():
            join.restore(states[number])


def _joined(released: Released, counts: JoinCounts) -> Joined:
    return Joined(released.examples, released.outcomes, released.unknown, counts)


def merge(parts: Sequence[Joined]) -> Joined:
    """Several partitions' (or processes') results as one. Nothing is copied where one part alone has rows."""
    examples = _merged([part.examples for part in parts])
    # With emit `at_close` they are one and the same batch.
    same = all(part.outcomes is part.examples for part in parts)
    outcomes = examples if same else _merged([part.outcomes for part in parts])
    unknown = [part.unknown for part in parts if part.unknown is not None]
    return Joined(
        examples,
        outcomes,
        LoggedClicks.concat(unknown) if unknown else None,
        JoinCounts.total(part.counts for part in parts),
    )


def _merged(batches: Sequence[ExampleBatch | None]) -> ExampleBatch | None:
    filled = [batch for batch in batches if batch is not None]
    if len(filled) < 2:
        return filled[0] if filled else None
    return in_order(filled)


class JoinedFeed:
    """A source in this process: a feed and its partitions' joins."""

    def __init__(self, feed: Feed, topics: Topics, settings: JoinSettings) -> None:
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
        next_offsets = {partition: place.next_offset for partition, place in self._feed.places.items()}
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
                self._feed.places[Partition(self._topics.exposures, number)],
                self._feed.places[Partition(self._topics.clicks, number)],
                join,
            )
            for number, join in self._joins.states().items()
        }

    def restore(self, tick: int, states: Mapping[int, PartitionState]) -> None:
        self._joins.restore({number: states[number].join for number in self.numbers})
        places: dict[Partition, Place] = {}
        for number in self.numbers:
            places[Partition(self._topics.exposures, number)] = states[number].exposures
            places[Partition(self._topics.clicks, number)] = states[number].clicks
        self._feed.restore(tick, places)

    def close(self) -> None:
        self._feed.close()
