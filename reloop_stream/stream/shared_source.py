"""Several processes that share plan, decoding and joining a stream's partitions, for the one that trains.

Process i of N has the partitions p with p mod N = i. Each reads on by itself, up to a bound, and tells how far it is; the
one that trains decides which tick has ended for all of them, has each join and hand on that tick, and merges what they
give. So a tick holds what it would hold in one process, bit for bit, and the states of the partitions are those after
the last tick handed on: a checkpoint can be taken up by any number of processes.

While a tick is trained on, the next one is joined, unless a checkpoint is due.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple, cast

from reloop_stream.codec.records import Select, batch_from_bytes, batch_to_bytes
from reloop_stream.errors import ReloopError
from reloop_stream.events import ExampleBatch
from reloop_stream.log import EventLog, LogPlace, Partition
from reloop_stream.log.topics import Topics
from reloop_stream.runtime.processes import Child
from reloop_stream.state.checkpoint import Sections
from reloop_stream.stream.event_feed import POLL_S, FeedStopped
from reloop_stream.stream.event_time_feed import EventTimeFeed, FeedEnded, Horizon, Ticks, next_complete
from reloop_stream.stream.example_source import JoinedFeed, JoinedTick, PartitionState
from reloop_stream.stream.partition_joins import Joined, JoinSettings, merge

__all__ = ["ReadPlan", "ReaderDied", "SharedSource"]

IDLE_S = 0.02  # how long a process with nothing to read waits for an order: an order ends the wait
END_PATIENCE_S = 5.0


class ReaderDied(ReloopError):
    """A process that reads partitions ended without a word."""


class ReadPlan(NamedTuple):
    """How a stream is read and joined, whoever does it."""

    topics: Topics
    ticks: Ticks
    join: JoinSettings
    select: Select | None
    ends: Mapping[Partition, int] | None

    def source(
        self, log: EventLog, numbers: Sequence[int], should_stop: Callable[[], bool] = lambda: False
    ) -> JoinedFeed:
        """Partitions as a source in this process."""
        return JoinedFeed(self.feed(log, numbers, should_stop), self.topics, self.join)

    def feed(
        self, log: EventLog, numbers: Sequence[int], should_stop: Callable[[], bool] = lambda: False
    ) -> EventTimeFeed:
        return EventTimeFeed(
            log, self.topics, numbers, self.ticks, select=self.select, ends=self.ends, should_stop=should_stop
        )


class SharedSource:
    """A source whose partitions are read by `workers` processes."""

    def __init__(
        self,
        place: LogPlace,
        plan: ReadPlan,
        numbers: Sequence[int],
        workers: int,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self.numbers = list(numbers)
        self.settings = plan.join
        self.select = plan.select
        self._should_stop = should_stop
        self._last_tick = float("-inf")
        self._ordered: int | None = None  # the tick that the processes are joining
        shares = [share for share in (self.numbers[i::workers] for i in range(workers)) if share]
        self._readers = {
            share: Child(_read, (place, plan, share), name=f"the process that reads partitions {list(share)}")
            for share in map(tuple, shares)
        }
        self._horizons: dict[Child, Horizon] = {}

    def next_tick(self, *, rest: bool = False) -> JoinedTick:
        """See `reloop_stream.stream.example_source.ExampleSource`. Raises ReaderDied as well."""
        if self._ordered is None:
            self._order(self._await_complete())
        assert self._ordered is not None
        tick, self._ordered = self._ordered, None
        joined = _merged([self._answer(reader, "joined") for reader in self._readers.values()])
        self._last_tick = tick
        if not rest and not self._should_stop():
            following = next_complete(self._horizons.values(), tick)
            if following is not None:
                self._order(following)
        return joined

    def _await_complete(self) -> int:
        while True:
            if len(self._horizons) == len(self._readers):
                tick = next_complete(self._horizons.values(), self._last_tick)
                if tick is not None:
                    return tick
                if all(horizon.ended for horizon in self._horizons.values()):
                    raise FeedEnded
            if self._should_stop():
                raise FeedStopped
            by_pipe = {reader.pipe: reader for reader in self._readers.values()}
            for ready in cast(list[Connection], wait(list(by_pipe), POLL_S)):
                self._receive(by_pipe[ready])

    def _order(self, tick: int) -> None:
        self._ordered = tick
        for reader in self._readers.values():
            self._send(reader, "join", tick)

    def _send(self, reader: Child, *message: Any) -> None:
        try:
            reader.send(*message)
        except OSError:
            raise _died(reader) from None

    def _answer(self, reader: Child, kind: str) -> Any:
        """Wait for an answer of this kind."""
        while True:
            found, content = self._receive(reader)
            if found == kind:
                return content

    def _receive(self, reader: Child) -> tuple[str, Any]:
        try:
            kind, content, horizon = reader.pipe.recv()
        except (EOFError, OSError):
            raise _died(reader) from None
        if kind == "failed":
            raise content
        if horizon is not None:
            self._horizons[reader] = horizon
        return kind, content

    def states(self) -> dict[int, PartitionState]:
        if self._ordered is not None:
            raise RuntimeError("states: the tick before them must be asked for with rest=True")
        for reader in self._readers.values():
            self._send(reader, "states", None)
        found: dict[int, PartitionState] = {}
        for share, reader in self._readers.items():
            sections = Sections.from_bytes(self._answer(reader, "states"))
            found |= {number: PartitionState.get(sections, number) for number in share}
        return {number: found[number] for number in self.numbers}

    def restore(self, tick: int, states: Mapping[int, PartitionState]) -> None:
        self._last_tick = tick
        for share, reader in self._readers.items():
            sections = Sections()
            for number in share:
                states[number].put(sections, number)
            self._send(reader, "restore", (tick, sections.to_bytes()))
            self._answer(reader, "restored")

    def close(self) -> None:
        for reader in self._readers.values():
            reader.end("end", None, patience_s=END_PATIENCE_S)


def _died(reader: Child) -> ReaderDied:
    return ReaderDied(f"{reader.name} died ({reader.how_it_died()})")


class _Wire(NamedTuple):
    """A joined tick as it goes through a pipe: batches as arrow bytes. outcomes: True where they are the examples."""

    tick: JoinedTick  # without its batches
    examples: bytes | None
    outcomes: bytes | bool | None


def _to_wire(tick: JoinedTick) -> _Wire:
    examples = None if tick.examples is None else batch_to_bytes(tick.examples)
    outcomes: bytes | bool | None = tick.outcomes is tick.examples
    if not outcomes:
        outcomes = None if tick.outcomes is None else batch_to_bytes(tick.outcomes)
    return _Wire(tick._replace(examples=None, outcomes=None), examples, outcomes)


def _from_wire(wire: _Wire) -> JoinedTick:
    def batch(data: bytes | None) -> ExampleBatch | None:
        return None if data is None else batch_from_bytes(data, "example")

    examples = batch(wire.examples)
    outcomes = examples if wire.outcomes is True else batch(wire.outcomes or None)
    return wire.tick._replace(examples=examples, outcomes=outcomes)


def _merged(wires: Sequence[_Wire]) -> JoinedTick:
    ticks = [_from_wire(wire) for wire in wires]
    joined = merge([Joined(tick.examples, tick.outcomes, tick.unknown, tick.counts) for tick in ticks])
    return JoinedTick(
        ticks[0].tick,
        ticks[0].watermark_ms,
        *joined[:3],
        [dead for tick in ticks for dead in tick.dead],
        joined.counts,
        {partition: offset for tick in ticks for partition, offset in tick.next_offsets.items()},
    )


def _read(pipe: Connection, place: LogPlace, plan: ReadPlan, numbers: Sequence[int]) -> None:
    """A process's life: read on, tell how far that is, carry out orders."""
    for number in (signal.SIGINT, signal.SIGTERM):  # they reach the whole group; the one that trains decides
        signal.signal(number, signal.SIG_IGN)
    try:
        with place.open() as log:
            feed = plan.feed(log, numbers)
            source = JoinedFeed(feed, plan.topics, plan.join)
            try:
                _serve(pipe, feed, source)
            finally:
                source.close()
    except (EOFError, BrokenPipeError):
        os._exit(1)
    except Exception as error:  # whatever it was, the one that trains says it
        with contextlib.suppress(OSError):
            pipe.send(("failed", error, None))


def _serve(pipe: Connection, feed: EventTimeFeed, source: JoinedFeed) -> None:
    told: Horizon | None = None
    while True:
        horizon = feed.horizon()
        if horizon != told:
            pipe.send(("horizon", None, horizon))
            told = horizon
        came = feed.poll(0.0)
        patience_s = 0.0 if came else IDLE_S
        started = time.monotonic()
        if not pipe.poll(patience_s):
            feed.waited(time.monotonic() - started)
            continue
        order, content = pipe.recv()
        if order == "join":
            joined = source.join(feed.take(content))
            told = feed.horizon()
            pipe.send(("joined", _to_wire(joined), told))
        elif order == "states":
            sections = Sections()
            for number, state in source.states().items():
                state.put(sections, number)
            pipe.send(("states", sections.to_bytes(), None))
        elif order == "restore":
            tick, data = content
            states = Sections.from_bytes(data)
            source.restore(tick, {number: PartitionState.get(states, number) for number in source.numbers})
            told = feed.horizon()
            pipe.send(("restored", None, told))
        else:
            return
