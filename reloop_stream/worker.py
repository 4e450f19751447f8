"""The streaming learner at work: consume → join → learn → checkpoint → publish, a tick at a time.

What a worker computes depends on the events between marks, in the order (label_time_ms, exposure_id), and on nothing
else: not on polls, on the number of processes, or on which log carries the events.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from reloop_stream.checkpoint import Sections, batch_from_bytes, batch_to_bytes
from reloop_stream.events import ExampleBatch, ExposureBatch
from reloop_stream.feed import TickEvents, TickFeed
from reloop_stream.join import Join, JoinCounts, LoggedClicks
from reloop_stream.learners.base import FrozenModel
from reloop_stream.log import EventLog, Partition
from reloop_stream.log.topics import topic_name
from reloop_stream.outbox import Outbox
from reloop_stream.updating import Trained, Updater, crosses

__all__ = ["Observer", "Published", "Rows", "Worker", "every_row"]


class Published(NamedTuple):
    """A model version that a worker hands to serving."""

    learner: str
    version: int
    tick: int  # the last tick whose examples it may have learnt from
    watermark_ms: int  # where that tick ended, in event time
    model: FrozenModel


class Rows(NamedTuple):
    """Which examples a learner trains on, and which of these another arm's model served. None: all; none."""

    train: np.ndarray | None
    foreign: np.ndarray | None


class Observer(Protocol):
    """Watches what goes through a worker. Its state is part of the worker's checkpoint."""

    def observe(self, outcomes: ExampleBatch) -> None:
        """Called with exposures whose window has closed, each once with its final label, before they are learnt."""

    def trained(self, trained: Trained) -> None:
        """Called with the progressive predictions of rows about to be learnt (or just learnt, micro-batch by micro-batch)."""

    def end_tick(self, tick: int, watermark_ms: int) -> None:
        """Called once a tick, after its examples."""

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]: ...

    def restore(self, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None: ...


def every_row(examples: ExampleBatch) -> Rows:
    """Train on everything; nothing is foreign."""
    return Rows(None, None)


@dataclass(frozen=True, slots=True)
class _Past:
    """Where a tick ended, kept for as long as a learner may read its events again."""

    tick: int
    watermark_ms: int
    offsets: dict[Partition, int]


class Worker:
    """One learner on one set of partitions.

    log, prefix: where the topics are, and what their names begin with.
    partitions: the partitions to read, the same numbers in both topics.
    start_ms: event time before which there is nothing; the first publishing interval begins there.
    publish_every_ms: simulated time between published versions.
    writes_to: the partition of the other topics that this worker appends to; one writer a partition.
    rows: which examples to train on.
    on_publish (an attribute to set): called with each version, before its announcement goes to the topic `snapshots`.
    """

    def __init__(
        self,
        name: str,
        log: EventLog,
        prefix: str,
        partitions: Sequence[int],
        updater: Updater,
        join: Join,
        *,
        start_ms: int,
        publish_every_ms: int,
        writes_to: int | None = None,
        rows: Callable[[ExampleBatch], Rows] = every_row,
        observer: Observer | None = None,
        write_examples: bool = False,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self.name = name
        self.updater = updater
        self.join = join
        self.tick = -1
        self.watermark_ms = start_ms
        self.dead = 0
        self._log = log
        self._prefix = prefix
        self._rows = rows
        self._observer = observer
        self.on_publish: Callable[[Published], None] = lambda published: None
        self._publish_every_ms = publish_every_ms
        self._write_examples = write_examples
        self._should_stop = should_stop
        self._feed: TickFeed | None = None
        self._past: deque[_Past] = deque()
        self._partitions = list(partitions)
        self._outbox = Outbox(log, prefix, self._partitions[0] if writes_to is None else writes_to, name)
        self._offsets = log.begin_offsets(self._both_topics(partitions))
        self._remember(self._offsets)

    def _both_topics(self, numbers: Sequence[int]) -> list[Partition]:
        topics = (topic_name(self._prefix, "exposures"), topic_name(self._prefix, "clicks"))
        return [Partition(topic, number) for topic in topics for number in numbers]

    def _open_feed(self, log: EventLog, offsets: Mapping[Partition, int], last_tick: int) -> TickFeed:
        return TickFeed(
            log,
            exposures=topic_name(self._prefix, "exposures"),
            clicks=topic_name(self._prefix, "clicks"),
            offsets=offsets,
            last_tick=last_tick,
            select=self.updater.learner.encoder.select,
            should_stop=self._should_stop,
        )

    def advance(self, tick: int) -> None:
        """Work up to and including `tick`, waiting for its marks. Raises FeedStopped when asked to stop meanwhile."""
        if self._feed is None:
            self._feed = self._open_feed(self._log, self._offsets, self.tick)
        while self.tick < tick:
            self._work(self._feed.next_tick())

    def _work(self, events: TickEvents) -> None:
        for batch in events.exposures:
            self.join.add_exposures(batch)
        for clicks in events.clicks:
            self.join.add_clicks(clicks.batch, clicks.partition.number, clicks.offsets)
        released = self.join.release(events.watermark_ms)
        self._outbox.bury(events.dead)
        self.dead += len(events.dead)
        if released.unknown is not None:
            self._outbox.bury_clicks(released.unknown)
            self.dead += len(released.unknown)
        if released.outcomes is not None and self._observer is not None:
            self._observer.observe(released.outcomes)
        if released.examples is not None:
            self._learn(released.examples)
        previous_ms, self.watermark_ms, self.tick = self.watermark_ms, events.watermark_ms, events.tick
        self._offsets = events.next_offsets
        self._remember(events.next_offsets)
        self.updater.end_tick(events.tick, events.watermark_ms)
        if self._observer is not None:
            self._observer.end_tick(events.tick, events.watermark_ms)
        if crosses(previous_ms, events.watermark_ms, self._publish_every_ms):
            self._publish()

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
        if self._observer is not None and trained.examples is not None:
            self._observer.trained(trained)

    def _publish(self) -> None:
        model = self.updater.learner.publish()
        published = Published(self.name, model.version, self.tick, self.watermark_ms, model)
        self.on_publish(published)
        announcement = {
            "learner": self.name,
            "version": model.version,
            "tick": self.tick,
            "watermark_ms": self.watermark_ms,
        }
        self._outbox.tell("snapshots", {**announcement, "model": model.name})
        self._outbox.tell("metrics", {**announcement, **self.join.counts.as_dict(), "dead": self.dead})

    def _remember(self, offsets: Mapping[Partition, int]) -> None:
        self._past.append(_Past(self.tick, self.watermark_ms, dict(offsets)))
        horizon_ms = self.watermark_ms - self.updater.memory_ms - self.join.attribution_ms
        while len(self._past) > 1 and self._past[1].watermark_ms <= horizon_ms:
            self._past.popleft()

    @property
    def next_offsets(self) -> dict[Partition, int]:
        """The offset behind the last tick in each partition that is read."""
        return dict(self._offsets)

    def needed_offsets(self) -> dict[Partition, int]:
        """The earliest offset in each partition that a restart from a checkpoint taken now would read."""
        return self._past[0].offsets

    def flush(self) -> None:
        self._outbox.flush()

    def checkpoint(self) -> Sections:
        """The worker's whole state after a tick. Restoring it and going on equals never having stopped."""
        sections = Sections()
        exposures, clicked, clicks = self.join.pending()
        updater_meta, updater_arrays = self.updater.state()
        past = [
            [p.tick, p.watermark_ms, [[partition.topic, partition.number, at] for partition, at in p.offsets.items()]]
            for p in self._past
        ]
        sections.put(
            "worker",
            {
                "name": self.name,
                "tick": self.tick,
                "watermark_ms": self.watermark_ms,
                "dead": self.dead,
                "counts": self.join.counts.as_dict(),
                "past": past,
            },
            {"clicked": clicked},
        )
        if exposures is not None:
            sections.put_bytes("pending", batch_to_bytes(exposures))
        if clicks is not None:
            click_arrays = {"time": clicks.event_time_ms, "click": clicks.click_time_ms}
            click_arrays |= {"partition": clicks.partition, "offset": clicks.offset}
            sections.put("clicks", {"exposure_id": clicks.exposure_id.tolist()}, click_arrays)
        sections.put("updater", updater_meta, updater_arrays)
        sections.put_bytes("learner", self.updater.learner.snapshot())
        if self._observer is not None:
            sections.put("observer", *self._observer.state())
        return sections

    def restore(
        self,
        sections: Sections,
        *,
        keep: Callable[[ExposureBatch], np.ndarray] | None = None,
        past_log: EventLog | None = None,
        past_prefix: str | None = None,
    ) -> None:
        """Go on from a checkpoint, of this worker or (a fork) of another one.

        keep: of the pending exposures, the rows that this worker shall see closed; None keeps all. A fork that reads
        fewer partitions than its origin keeps only rows of those.
        past_log, past_prefix: where the origin's events lie, when that is another log than this worker's: the window
        is then read there, and reading goes on at the beginning of this worker's own.
        """
        meta, arrays = sections.get("worker")
        self.tick, self.watermark_ms = meta["tick"], meta["watermark_ms"]
        self.dead = meta["dead"]
        self.join.counts = JoinCounts(**meta["counts"])
        exposures = batch_from_bytes(sections.get_bytes("pending"), "exposure") if "pending" in sections else None
        clicked = arrays["clicked"]
        if exposures is not None and keep is not None:
            kept = keep(exposures)
            exposures, clicked = exposures.take(kept), clicked[kept]
        self.join.restore(exposures, clicked, _clicks_from(sections), self.watermark_ms)
        self.updater.learner.restore(sections.get_bytes("learner"))
        self.updater.restore(*sections.get("updater"))
        if self._observer is not None and "observer" in sections:
            self._observer.restore(*sections.get("observer"))
        past = [
            _Past(tick, at_ms, {Partition(t, n): at for t, n, at in offsets}) for tick, at_ms, offsets in meta["past"]
        ]
        self._refill(past, past_log or self._log, past_prefix or self._prefix)
        self._feed = None
        mine = self._both_topics(self._partitions)
        if past_log is None:
            self._past = deque(past)
            self._offsets = {partition: past[-1].offsets[partition] for partition in mine}
        else:
            self._offsets = self._log.begin_offsets(mine)
            self._past = deque([_Past(self.tick, self.watermark_ms, self._offsets)])

    def _refill(self, past: Sequence[_Past], log: EventLog, prefix: str) -> None:
        """Read the training window again from the log: a checkpoint holds where it begins, not its rows."""
        memory_ms = self.updater.memory_ms
        if not memory_ms:
            return
        join = Join(self.join.attribution_ms, self.join.emit)
        since_ms = self.watermark_ms - memory_ms
        for first, last in _stretches(past):
            feed = TickFeed(
                log,
                exposures=topic_name(prefix, "exposures"),
                clicks=topic_name(prefix, "clicks"),
                offsets={partition: first.offsets[partition] for partition in last.offsets},
                last_tick=first.tick,
                select=self.updater.learner.encoder.select,
                should_stop=self._should_stop,
            )
            for _ in range(last.tick - first.tick):
                events = feed.next_tick()
                for batch in events.exposures:
                    join.add_exposures(batch)
                for clicks in events.clicks:
                    join.add_clicks(clicks.batch)
                examples = join.release(events.watermark_ms).examples
                if examples is None:
                    continue
                train, foreign = self._rows(examples)
                recent = examples.label_time_ms >= since_ms
                kept = recent if train is None else recent & train
                if kept.any():
                    self.updater.refill(examples.take(kept), None if foreign is None else foreign[kept])
            feed.close()

    def close(self) -> None:
        if self._feed is not None:
            self._feed.close()
        self._outbox.close()


def _clicks_from(sections: Sections) -> LoggedClicks | None:
    if "clicks" not in sections:
        return None
    meta, arrays = sections.get("clicks")
    ids = meta["exposure_id"]
    exposure_id = np.array(ids, dtype=np.int64 if isinstance(ids[0], int) else object)
    return LoggedClicks(exposure_id, arrays["time"], arrays["click"], arrays["partition"], arrays["offset"])


def _stretches(past: Sequence[_Past]) -> list[tuple[_Past, _Past]]:
    """Cut the past where the set of partitions changed (a fork): pairs of (where to begin, where to end)."""
    stretches = []
    start = 0
    for i in range(1, len(past)):
        last_of_its_kind = i + 1 == len(past) or past[i + 1].offsets.keys() != past[i].offsets.keys()
        if last_of_its_kind:
            stretches.append((past[start], past[i]))
            start = i
    return stretches
