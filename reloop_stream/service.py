"""A learner for as long as its stream lasts: tick by tick, with checkpoints between them and an end in order."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from reloop_stream.checkpoint import Sections
from reloop_stream.config import WindowConfig
from reloop_stream.event_time import EventTimeFeed, FeedEnded, Ticks
from reloop_stream.events import ExampleBatch
from reloop_stream.feed import FeedStopped, both_topics
from reloop_stream.join import JoinCounts
from reloop_stream.joined import JoinedFeed, Source
from reloop_stream.learner_folder import LearnerFolder
from reloop_stream.learners import make_learner
from reloop_stream.log import EventLog, OffsetOutOfRange
from reloop_stream.observer import StreamObserver
from reloop_stream.past import Past
from reloop_stream.published import SnapshotPublisher
from reloop_stream.stream_config import StreamConfig
from reloop_stream.updating import make_updater
from reloop_stream.worker import Rows, Worker, every_row

__all__ = ["NoLongerRetained", "Service", "Status", "Stop"]

HOUR_MS = 3_600_000
STATUS_S = 0.5  # wall clock between two looks at the status


class NoLongerRetained(Exception):
    """Events that the checkpoint still needs are gone from their topic."""


class Status(NamedTuple):
    """How the learner is doing, for whoever watches."""

    tick: int
    watermark_ms: int
    version: int
    learnt: int
    rate: float  # exposures a second of wall clock since the last status
    lag: int | None  # records behind the topics' ends; None between two looks
    counts: JoinCounts
    dead: int
    auc: float  # of late
    logloss: float
    is_saved: bool  # a checkpoint has just been written


@dataclass
class Stop:
    """Whether to stop: asked for by anyone, or at a moment of the monotonic clock."""

    asked: bool = False
    deadline: float = math.inf

    def __call__(self) -> bool:
        return self.asked or time.monotonic() >= self.deadline


def publish_every_ms(config: StreamConfig) -> int:
    """How often versions are published: as told, else after each retraining of a window learner, else hourly."""
    learner = config.learner
    hours = learner.publish_every_hours
    if hours is None:
        hours = learner.updating.every_hours if isinstance(learner.updating, WindowConfig) else 1.0
    return round(hours * HOUR_MS)


def rows_of_arm(arm: str | None) -> Callable[[ExampleBatch], Rows]:
    """Train on the rows of one arm; None: on all."""
    return every_row if arm is None else lambda examples: Rows(np.asarray(examples.exposures.arm == arm), None)


def open_source(
    config: StreamConfig, log: EventLog, idle_s: float, until_end: bool, should_stop: Callable[[], bool]
) -> Source:
    """The stream's examples, read in this process."""
    topics = config.topic_names
    numbers = partition_numbers(config, log)
    ends = log.end_offsets(both_topics(topics, numbers)) if until_end else None
    ticks = Ticks(config.tick_ms, config.join.attribution_ms, idle_s)
    feed = EventTimeFeed(log, topics, numbers, ticks, select=config.intake(), ends=ends, should_stop=should_stop)
    return JoinedFeed(feed, topics, config.join)


def partition_numbers(config: StreamConfig, log: EventLog) -> list[int]:
    """The partitions of the two topics. Raises ValueError where they are not the same, UnknownTopic."""
    topics = config.topic_names
    exposures, clicks = ([p.number for p in log.partitions(topic)] for topic in (topics.exposures, topics.clicks))
    if exposures != clicks:
        raise ValueError(
            f"{topics.exposures} has {len(exposures)} partitions and {topics.clicks} {len(clicks)}; an exposure and its "
            "clicks must be in the same partition number of both, so both need as many"
        )
    return exposures


class Service:
    """One learner at work in its folder.

    Commit order: (1) a tick's examples are learnt, and a version that is due is published; (2) the checkpoint, which
    holds the state and the next offsets as one object, is written to a temporary file, synced and renamed; (3) only then
    are the offsets committed to the group, for lag displays alone. A restart reads the checkpoint, assigns and seeks.
    What goes to the output topics goes there at least once.
    """

    def __init__(
        self,
        config: StreamConfig,
        log: EventLog,
        folder: LearnerFolder,
        source: Source,
        publisher: SnapshotPublisher,
        *,
        group: str,
        checkpoint_s: float,
        stop: Stop,
        watch: Callable[[Status], None],
    ) -> None:
        self._config = config
        self._log = log
        self._folder = folder
        self._source = source
        self._publisher = publisher
        self._group = group
        self._checkpoint_s = checkpoint_s
        self._stop = stop
        self._watch = watch
        every_ms = publish_every_ms(config)
        self.observer = StreamObserver(every_ms)
        learner = make_learner(
            config.learner, config.fields, name=config.name, seed=config.seed, base_rate=config.base_rate
        )
        self.worker = Worker(
            config.name,
            log,
            config.topic_names,
            source,
            make_updater(config.learner, learner, config.seed),
            start_ms=None,
            publish_every_ms=every_ms,
            rows=rows_of_arm(config.arm),
            observer=self.observer,
            write_examples=config.topics.examples is not None,
            announces=False,
            should_stop=stop,
        )
        self.worker.on_publish = publisher.publish
        self._looked_at = time.monotonic()
        self._seen = 0

    def restore(self, sections: Sections) -> None:
        """Go on from the folder's checkpoint. Raises NoLongerRetained, SnapshotError, FeedStopped."""
        meta, _ = sections.get("worker")
        needed = dict(Past.from_state(meta["past"]).first.offsets)
        begin, end = self._log.begin_offsets(list(needed)), self._log.end_offsets(list(needed))
        for partition, offset in needed.items():
            if not begin[partition] <= offset <= end[partition]:
                raise NoLongerRetained(
                    f"{partition.topic}[{partition.number}]: the checkpoint goes on at offset {offset}, the topic holds "
                    f"{begin[partition]} to {end[partition]}: {_why(offset, begin[partition])}; raise the topic's "
                    "retention, and start anew with another --checkpoint DIR"
                )
        self.worker.restore(sections)
        self._seen = self.worker.counts.exposures

    def run(self, count: int | None = None) -> None:
        """Learn until a stop is asked for, the source ends, or `count` examples have been learnt since the first start.

        All that was learnt is then saved. A stop finishes the ticks that are complete among what has been read. Raises
        NoLongerRetained, LogUnavailable, OSError: what was learnt since the last checkpoint is then learnt again by the
        next start, to the same result.
        """
        saved = told = time.monotonic()
        while True:
            is_due = time.monotonic() - saved >= self._checkpoint_s
            try:
                joined = self._source.next_tick(rest=is_due or count is not None)
            except (FeedStopped, FeedEnded):
                break
            except OffsetOutOfRange as error:
                raise NoLongerRetained(f"{error}; start anew with another --checkpoint DIR") from None
            self.worker.work(joined)
            if is_due:
                self.save()
                saved = time.monotonic()
            if is_due or time.monotonic() - told > STATUS_S:
                told = time.monotonic()
                self._tell(is_due)
            if count is not None and self.observer.learnt >= count:
                break
        self.save()
        self._tell(saved=True)

    def save(self) -> None:
        """Steps 2 and 3 of the commit order. Raises OSError naming the file; the checkpoint before is then still there."""
        self.observer.extra = {"lag_records": self.lag()}
        self.worker.tell_metrics()
        self.worker.flush()
        self._folder.write(self.worker.checkpoint())  # (2)
        self._log.commit(self._group, self.worker.next_offsets)  # (3)

    def lag(self) -> int:
        """Records between the last tick and the ends of both topics."""
        offsets = self.worker.next_offsets
        end = self._log.end_offsets(list(offsets))
        return sum(end[partition] - offset for partition, offset in offsets.items())

    def _tell(self, saved: bool) -> None:
        now, worker, late = time.monotonic(), self.worker, self.observer.of_late("learner")
        rate = (worker.counts.exposures - self._seen) / max(now - self._looked_at, 1e-9)
        self._looked_at, self._seen = now, worker.counts.exposures
        version = worker.updater.learner.version
        watermark_ms = worker.watermark_ms or 0
        lag = int(self.observer.extra["lag_records"]) if saved else None
        self._watch(
            Status(
                worker.tick, watermark_ms, version, self.observer.learnt, rate, lag, worker.counts, worker.dead, late.auc,
                late.logloss, saved,
            )
        )  # fmt: skip

    def close(self) -> None:
        self.worker.close()
        self._publisher.close()


def _why(offset: int, begin: int) -> str:
    return "events were deleted before they were read" if offset < begin else "the topic was made anew"
