"""A learner for as long as its stream lasts: tick by tick, with checkpoints between them and an end in order."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from reloop_stream.errors import ConfigError, LogError, OffsetOutOfRange
from reloop_stream.events import ExampleBatch
from reloop_stream.learners import make_learner
from reloop_stream.log import EventLog, LogPlace
from reloop_stream.service.concerns import Concerns
from reloop_stream.service.config import StreamConfig
from reloop_stream.service.learner_folder import LearnerFolder
from reloop_stream.service.observer import StreamObserver
from reloop_stream.serving.publisher import SnapshotPublisher
from reloop_stream.state.checkpoint import Sections
from reloop_stream.stream.event_feed import FeedStopped, both_topics
from reloop_stream.stream.event_time_feed import FeedEnded, Ticks
from reloop_stream.stream.example_source import ExampleSource
from reloop_stream.stream.join import JoinCounts
from reloop_stream.stream.past import Past
from reloop_stream.stream.shared_source import ReadPlan, SharedSource
from reloop_stream.updating import make_updater, publish_every_ms
from reloop_stream.worker import Rows, Worker, every_row

__all__ = ["NoLongerRetained", "PartitionWatch", "Service", "Status"]

PARTS_CHANGED = (
    "Where an id's partition changes, its clicks no longer find it: start anew with another --checkpoint DIR, which reads all "
    "partitions"
)
RATE_S = 10.0  # the rate is that of the last seconds
STATUS_S = 0.5  # wall clock between two looks at the status


class NoLongerRetained(LogError):
    """Events that the checkpoint still needs are gone from their topic."""


class Status(NamedTuple):
    """How the learner is doing, for whoever watches."""

    watermark_ms: int
    version: int
    learnt: int
    rate: float  # exposures a second of wall clock
    lag: float  # records behind the topics' ends, at the last checkpoint
    counts: JoinCounts
    dead: int
    auc: float  # of late
    logloss: float
    is_saved: bool  # a checkpoint has just been written


def rows_of_arm(arm: str | None) -> Callable[[ExampleBatch], Rows]:
    """Train on the rows of one arm; None: on all."""
    return every_row if arm is None else lambda examples: Rows(np.asarray(examples.exposures.arm == arm), None)


def open_source(
    config: StreamConfig,
    place: LogPlace,
    log: EventLog,
    *,
    idle_s: float,
    until_end: bool,
    workers: int,
    should_stop: Callable[[], bool],
) -> ExampleSource:
    """The stream's examples: read in this process, or by `workers` processes where they are several.

    log: the place's log as this process has opened it. Raises ConfigError, UnknownTopic.
    """
    topics = config.topic_names
    numbers = partition_numbers(config, log)
    ends = log.end_offsets(both_topics(topics, numbers)) if until_end else None
    ticks = Ticks(config.tick_ms, config.join.attribution_ms, idle_s, config.max_ahead_ms)
    plan = ReadPlan(topics, ticks, config.join, config.intake(), ends)
    if workers > 1:
        return SharedSource(place, plan, numbers, workers, should_stop)
    return plan.source(log, numbers, should_stop)


def partition_numbers(config: StreamConfig, log: EventLog) -> list[int]:
    """The partitions of the two topics. Raises ConfigError where they are not the same, UnknownTopic."""
    topics = config.topic_names
    exposures, clicks = ([p.number for p in log.partitions(topic)] for topic in (topics.exposures, topics.clicks))
    if exposures != clicks:
        raise ConfigError(
            f"{topics.exposures} has {len(exposures)} partitions and {topics.clicks} {len(clicks)}; an exposure and its "
            "clicks must be in the same partition number of both, so both need as many"
        )
    return exposures


class PartitionWatch:
    """Looks now and then whether the topics still have the partitions that a learner reads. True once they do not.

    What is in a new one would not be learnt; and where ids move, an exposure and its clicks part. It costs the broker two
    questions every `every_s` seconds.
    """

    def __init__(self, config: StreamConfig, log: EventLog, every_s: float) -> None:
        self._topics = (config.topic_names.exposures, config.topic_names.clicks)
        self._log = log
        self._numbers = partition_numbers(config, log)
        self._every_s = every_s
        self._looked = time.monotonic()
        self._found: str | None = None

    def __call__(self) -> bool:
        """Raises UnknownTopic, LogUnavailable."""
        if self._found is None and time.monotonic() - self._looked >= self._every_s:
            self._looked = time.monotonic()
            for topic in self._topics:
                found = [partition.number for partition in self._log.partitions(topic)]
                if found != self._numbers:
                    self._found = (
                        f"{topic}: has {len(found)} partitions by now, this learner reads {len(self._numbers)}"
                    )
        return self._found is not None

    def check(self) -> None:
        """Raises ConfigError where the partitions have changed."""
        if self._found is not None:
            raise ConfigError(f"{self._found}; what was learnt of those is saved. {PARTS_CHANGED}")


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
        source: ExampleSource,
        publisher: SnapshotPublisher,
        *,
        group: str,
        checkpoint_s: float,
        stop: Callable[[], bool],
        watch: Callable[[Status], None],
        is_over: Callable[[], bool] = lambda: False,
    ) -> None:
        self._config = config
        self._log = log
        self._folder = folder
        self._source = source
        self._publisher = publisher
        self._group = group
        self._checkpoint_s = checkpoint_s
        self._watch = watch
        self._is_over = is_over  # asked at each checkpoint
        every_ms = publish_every_ms(config.learner)
        self.observer = StreamObserver(every_ms)
        self._concerns = Concerns(config.arm, config.fields)
        try:
            learner = make_learner(
                config.learner, config.fields, name=config.name, seed=config.seed, base_rate=config.base_rate
            )
        except ValueError as error:  # a device that this machine lacks, heads that do not divide a layer
            raise ConfigError(str(error)) from None
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
        self._is_unsaved = False
        self._recent: deque[tuple[float, int]] = deque()  # moments, and the exposures seen by then

    def restore(self, sections: Sections) -> None:
        """Go on from the folder's checkpoint. Raises ConfigError, NoLongerRetained, StateError, FeedStopped."""
        meta, _ = sections.get("worker")
        if meta["partitions"] != self._source.numbers:
            raise ConfigError(
                f"{self._config.topics.exposures}: has {len(self._source.numbers)} partitions, the checkpoint is of "
                f"{len(meta['partitions'])}. {PARTS_CHANGED}"
            )
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
        self._concerns.begin(self.worker.counts)

    def run(self, count: int | None = None) -> None:
        """Learn until a stop is asked for, the source ends, or `count` examples have been learnt since the first start.

        All that was learnt is then saved. A stop finishes the ticks that are complete among what has been read; where it comes in
        the middle of a training, FeedStopped is raised, and the next start goes on from the last checkpoint. Raises
        NoLongerRetained, LogUnavailable, OSError: what was learnt since the last checkpoint is then learnt again by the
        next start, to the same result.
        """
        saved = told = time.monotonic()
        self._recent.append((saved, self.worker.counts.exposures))
        while True:
            is_due = time.monotonic() - saved >= self._checkpoint_s
            try:
                joined = self._source.next_tick(rest=is_due or count is not None)
            except (FeedStopped, FeedEnded):
                break
            except OffsetOutOfRange as error:
                raise _lost(error) from None
            self._concerns.saw(joined)
            try:
                self.worker.work(joined)
            except OffsetOutOfRange as error:  # of a window that is read again
                raise _lost(error) from None
            self._is_unsaved = True
            if is_due:
                self.save()
                self._look(last=False)
                saved = time.monotonic()
            if is_due or time.monotonic() - told > STATUS_S:
                told = time.monotonic()
                self._tell(is_due)
            if (count is not None and self.observer.learnt >= count) or (is_due and self._is_over()):
                break
        if self._is_unsaved:
            self.save()
            self._look(last=True)
            self._tell(is_saved=True)

    def _look(self, *, last: bool) -> None:
        worker, observer = self.worker, self.observer
        served, late = observer.since_start("served"), observer.of_late("learner")
        self._concerns.look(worker.counts, worker.watermark_ms or 0, served, late, last=last)

    def save(self) -> None:
        """Steps 2 and 3 of the commit order. Raises OSError naming the file; the checkpoint before is then still there."""
        self.observer.extra = {"lag_records": self.lag(), "exposures_per_s": self.rate()}
        self.worker.tell_metrics()
        self.worker.flush()
        self._folder.write(self.worker.checkpoint())  # (2)
        self._log.commit(self._group, self.worker.next_offsets)  # (3)
        self._is_unsaved = False

    def lag(self) -> int:
        """Records between the last tick and the ends of both topics."""
        offsets = self.worker.next_offsets
        end = self._log.end_offsets(list(offsets))
        return sum(end[partition] - offset for partition, offset in offsets.items())

    def rate(self) -> float:
        """Exposures a second of wall clock, over the last seconds."""
        now, seen = time.monotonic(), self.worker.counts.exposures
        self._recent.append((now, seen))
        while len(self._recent) > 2 and self._recent[1][0] < now - RATE_S:
            self._recent.popleft()
        since, before = self._recent[0]
        return (seen - before) / max(now - since, 1e-9)

    def _tell(self, is_saved: bool) -> None:
        worker, late = self.worker, self.observer.of_late("learner")
        self._watch(
            Status(
                watermark_ms=worker.watermark_ms or 0,
                version=worker.updater.learner.version,
                learnt=self.observer.learnt,
                rate=self.rate(),
                lag=self.observer.extra.get("lag_records", 0),
                counts=worker.counts,
                dead=worker.dead,
                auc=late.auc,
                logloss=late.logloss,
                is_saved=is_saved,
            )
        )

    def close(self) -> None:
        self.worker.close()
        self._publisher.close()


def _lost(error: OffsetOutOfRange) -> NoLongerRetained:
    return NoLongerRetained(f"{error}; start anew with another --checkpoint DIR")


def _why(offset: int, begin: int) -> str:
    return "events were deleted before they were read" if offset < begin else "the topic was made anew"
