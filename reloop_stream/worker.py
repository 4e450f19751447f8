"""The streaming learner at work: consume → join → learn → checkpoint → publish, a tick at a time.

What a worker computes depends on the events of each tick, in the order (label_time_ms, exposure_id), and on nothing
else: not on polls, on the number of processes, or on which log carries the events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from reloop_stream.clock import crosses
from reloop_stream.errors import DivergedError
from reloop_stream.events import ExampleBatch
from reloop_stream.log import EventLog, Partition
from reloop_stream.log.topics import Topics
from reloop_stream.serving.snapshot import Published
from reloop_stream.state.checkpoint import Sections
from reloop_stream.stream.event_feed import BEGINNING_MS, both_topics
from reloop_stream.stream.example_source import ExampleSource, JoinedTick, PartitionState, moved_to
from reloop_stream.stream.join import JoinCounts
from reloop_stream.stream.outbox import Outbox
from reloop_stream.stream.past import Past, TickEnd, read_again
from reloop_stream.updating.base import Trained, Updater

__all__ = ["Observer", "Rows", "Worker", "every_row"]


class Rows(NamedTuple):
    """Which examples a learner trains on, and which of these another arm's model served. None: all; none."""

    train: np.ndarray | None
    foreign: np.ndarray | None


class Observer(Protocol):
    """Watches what goes through a worker. Its state is part of the worker's checkpoint."""

    def observe(self, outcomes: ExampleBatch) -> None:
        """Called with exposures whose window has closed, each once with its final label, before they are learnt."""

    def trained(self, trained: Trained) -> None:
        """Called with the progressive predictions of rows about to be learnt (or just learnt, micro-batch by micro-batch).

        Of their exposures only times, arms, weights and what a learner looks at are sure to be there.
        """

    def end_tick(self, tick: int, watermark_ms: int) -> None:
        """Called once a tick, after its examples."""

    def published(self, version: Published) -> None:
        """Called with each version, before it is handed on to serve."""

    def metrics(self) -> Mapping[str, Any]:
        """What the topic `metrics` is told beside the counts."""

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]: ...

    def restore(self, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None: ...


def every_row(examples: ExampleBatch) -> Rows:
    """Train on everything; nothing is foreign."""
    return Rows(None, None)


class Worker:
    """One learner on one source of examples.

    log, topics: where the source's events lie, and where announcements, metrics and dead letters go.
    start_ms: event time before which there is nothing; the first publishing interval begins there. None: at the end
        of the first tick.
    publish_every_ms: simulated time between published versions.
    writes_to: the partition of the other topics that this worker appends to; one writer a partition.
    rows: which examples to train on.
    announces: whether the topic `snapshots` is told of each version; where `on_publish` puts them there itself, it is not.
    on_publish (an attribute to set): called with each version, before it is announced.
    is_waited_for (likewise): whether other processes wait to hear of a version. If not, what it says of one may wait for what else
        this process appends.
    """

    def __init__(
        self,
        name: str,
        log: EventLog,
        topics: Topics,
        source: ExampleSource,
        updater: Updater,
        *,
        start_ms: int | None,
        publish_every_ms: int,
        writes_to: int = 0,
        rows: Callable[[ExampleBatch], Rows] = every_row,
        observer: Observer | None = None,
        write_examples: bool = False,
        announces: bool = True,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self.name = name
        self.updater = updater
        self.tick = -1
        self.watermark_ms = start_ms
        self.learnt_ms: int | None = None  # label time of the newest example that the learner has learnt
        self.dead = 0
        self.counts = JoinCounts()
        self._log = log
        self._topics = topics
        self._source = source
        self._rows = rows
        self._observer = observer
        self.on_publish: Callable[[Published], None] = lambda published: None
        self.is_waited_for = True
        self._publish_every_ms = publish_every_ms
        self._write_examples = write_examples
        self._announces = announces
        self._should_stop = should_stop
        self._outbox = Outbox(log, topics, writes_to, name)
        begin = log.begin_offsets(both_topics(topics, source.numbers))
        self._past = Past([TickEnd(start_ms if start_ms is not None else BEGINNING_MS, begin)])
        self.is_whole = True  # False while something is half done, and for good where that was broken off
        updater.attach(lambda: self._window(self._past, self._log, self._topics), should_stop)

    def advance(self, tick: int) -> None:
        """Work up to and including `tick`, waiting for its end. Raises FeedStopped when asked to stop meanwhile."""
        while self.tick < tick:
            self.work(self._source.next_tick())

    def work(self, joined: JoinedTick) -> None:
        """Work through one tick of the source, the one that follows the last.

        Raises FeedStopped when asked to stop in the middle of a training. The worker is then not whole, and no checkpoint may be
        taken of it: a restart goes on from the one before.
        """
        self.is_whole = False
        self._outbox.bury(joined.dead)
        self.dead += len(joined.dead)
        if joined.unknown is not None:
            self._outbox.bury_clicks(joined.unknown)
            self.dead += len(joined.unknown)
        self.counts = joined.counts
        if joined.outcomes is not None and self._observer is not None:
            self._observer.observe(joined.outcomes)
        if joined.examples is not None:
            self._learn(joined.examples)
        previous_ms = joined.watermark_ms if self.watermark_ms is None else self.watermark_ms
        self.watermark_ms, self.tick = joined.watermark_ms, joined.tick
        # A window is read again from where its oldest labels' exposures lie; without one nothing is.
        memory_ms = self.updater.memory_ms and self.updater.memory_ms + self._source.settings.attribution_ms
        self._past.remember(TickEnd(joined.watermark_ms, joined.next_offsets), memory_ms)
        if (learnt_ms := self.updater.end_tick(joined.tick, joined.watermark_ms)) is not None:
            self.learnt_ms = learnt_ms
        if self._observer is not None:
            self._observer.end_tick(joined.tick, joined.watermark_ms)
        if crosses(previous_ms, joined.watermark_ms, self._publish_every_ms):
            self._publish(joined.watermark_ms)
        self.is_whole = True

    def _learn(self, examples: ExampleBatch) -> None:
        if self._write_examples:
            self._outbox.examples(examples)
        train, foreign = self._rows(examples)
        if train is not None and not train.all():
            examples = examples.take(train)
            foreign = None if foreign is None else foreign[train]
        if not len(examples):
            return
        trained = self.updater.learn(examples, foreign)
        if not np.isfinite(trained.pctr).all():  # one pass over a column
            raise DivergedError(
                f"{self.name}: its predictions are no longer numbers, after version {self.updater.learner.version}: a smaller "
                "learning rate (optimizer.lr), or numbers of the size of 1, keep a model from that"
            )
        if self._observer is not None and trained.examples is not None:
            self._observer.trained(trained)

    def _publish(self, watermark_ms: int) -> None:
        model = self.updater.learner.publish()
        published = Published(self.name, model.version, self.tick, watermark_ms, model, self.learnt_ms)
        if self._observer is not None:
            self._observer.published(published)
        self.on_publish(published)
        if self._announces:
            self._outbox.tell(self._topics.snapshots, {**self._where(), "model": model.name}, more=True)
        self.tell_metrics(more=not self.is_waited_for)

    def tell_metrics(self, *, more: bool = False) -> None:
        """Append to the topic `metrics` what has been counted and measured so far."""
        measured = {} if self._observer is None else self._observer.metrics()
        counted = {**self.counts.as_dict(), "dead": self.dead}
        told = {**self._where(), **counted, **measured, **self.updater.metrics()}
        self._outbox.tell(self._topics.metrics, told, more=more)

    def _where(self) -> dict[str, Any]:
        version = self.updater.learner.version
        return {"learner": self.name, "version": version, "tick": self.tick, "watermark_ms": self.watermark_ms}

    @property
    def next_offsets(self) -> dict[Partition, int]:
        """The offset behind the last tick in each partition that is read."""
        return dict(self._past.last.offsets)

    def needed_offsets(self) -> dict[Partition, int]:
        """The earliest offset in each partition that a restart from a checkpoint taken now would read."""
        return dict(self._past.first.offsets)

    def flush(self) -> None:
        self._outbox.flush()

    def checkpoint(self) -> Sections:
        """The worker's whole state after a tick. Restoring it and going on equals never having stopped."""
        sections = Sections()
        states = self._source.states()
        sections.put(
            "worker",
            {
                "name": self.name,
                "tick": self.tick,
                "watermark_ms": self.watermark_ms,
                "learnt_ms": self.learnt_ms,
                "dead": self.dead,
                "partitions": sorted(states),
                "past": self._past.state(),
            },
        )
        for number, state in states.items():
            state.put(sections, number)
        sections.put("updater", *self.updater.state())
        sections.put_bytes("learner", self.updater.learner.to_bytes())
        if self._observer is not None:
            sections.put("observer", *self._observer.state())
        return sections

    def restore(
        self,
        sections: Sections,
        *,
        beside: Sequence[Sections] = (),
        observed: Sections | None = None,
        past_log: EventLog | None = None,
        past_topics: Topics | None = None,
    ) -> None:
        """Go on from a checkpoint, of this worker or (a fork) of another one, which may have read other partitions.

        beside: checkpoints of workers that stood at the same tick, for partitions that it did not read.
        observed: the checkpoint whose observer this worker's goes on from, where that is not the one to go on from.
        past_log, past_topics: where the origin's events lie, when those are others than this worker's: the window is
        then read there, the first partition takes over all that is open, and reading goes on at the beginning of this
        worker's own topics.
        """
        self.is_whole = False
        meta, _ = sections.get("worker")
        self.tick, self.watermark_ms = meta["tick"], meta["watermark_ms"]
        self.learnt_ms = meta.get("learnt_ms")  # a checkpoint of before it was kept has none
        self.dead = meta["dead"]
        states, past = _read_up_to(sections)
        for other in beside:
            more, theirs = _read_up_to(other)
            states, past = {**more, **states}, past.beside(theirs)
        self.updater.learner.restore(sections.get_bytes("learner"))
        self.updater.restore(*sections.get("updater"))
        observed = sections if observed is None else observed
        if self._observer is not None and "observer" in observed:
            self._observer.restore(*observed.get("observer"))
        if past_log is not None:  # the window's rows then lie in two logs
            self.updater.attach(None, self._should_stop)
        if self.updater.memory_ms:
            for examples, foreign in self._window(past, past_log or self._log, past_topics or self._topics):
                self.updater.refill(examples, foreign)
        if past_log is not None:
            begin = self._log.begin_offsets(both_topics(self._topics, self._source.numbers))
            states = moved_to(self._topics, begin, states, self._source.numbers)
            past = Past([TickEnd(past.last.watermark_ms, begin)])
        self._past = past
        self._source.restore(self.tick, states)
        self.counts = JoinCounts.total(states[number].join.counts for number in self._source.numbers)
        self.is_whole = True

    def _window(self, past: Past, log: EventLog, topics: Topics) -> Iterator[tuple[ExampleBatch, np.ndarray | None]]:
        """Read the training window again from the log: the rows to train on, and which of them are foreign."""
        since_ms = past.last.watermark_ms - self.updater.memory_ms
        source = self._source
        for examples in read_again(log, topics, past, source.settings, source.select, self._should_stop):
            train, foreign = self._rows(examples)
            recent = examples.label_time_ms >= since_ms
            kept = recent if train is None else recent & train
            if kept.any():
                yield examples.take(kept), None if foreign is None else foreign[kept]

    def close(self) -> None:
        self._source.close()
        self._outbox.close()


def _read_up_to(sections: Sections) -> tuple[dict[int, PartitionState], Past]:
    """Where a worker's checkpoint stands: the states of its partitions, and the ends of its past ticks."""
    meta, _ = sections.get("worker")
    states = {number: PartitionState.get(sections, number) for number in meta["partitions"]}
    return states, Past.from_state(meta["past"])
