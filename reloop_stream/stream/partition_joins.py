"""The joins of several partitions, released together and merged in order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from reloop_stream.events import ExampleBatch
from reloop_stream.stream.event_feed import PartitionEvents
from reloop_stream.stream.join import EARLY_MS, Emit, Join, JoinCounts, JoinState, Released, in_order
from reloop_stream.stream.pending import LoggedClicks

__all__ = ["JoinSettings", "Joined", "PartitionJoins", "merge"]


class JoinSettings(NamedTuple):
    """What every partition's join is made with; see `reloop_stream.stream.join.Join`."""

    attribution_ms: int
    emit: Emit = "at_close"
    early_ms: int = EARLY_MS

    def join(self) -> Join:
        return Join(self.attribution_ms, self.emit, self.early_ms)


class Joined(NamedTuple):
    """What one release gave, over any number of partitions; examples and outcomes are in order."""

    examples: ExampleBatch | None
    outcomes: ExampleBatch | None
    unknown: LoggedClicks | None
    counts: JoinCounts  # since the beginning


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
