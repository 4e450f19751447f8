"""Which model version serves at which tick, and how versions come from learners to servers."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeAlias
from weakref import WeakValueDictionary

import msgspec
import numpy as np

from reloop_stream.config import LearnerConfig
from reloop_stream.learners.base import FrozenModel
from reloop_stream.log import EventLog, Partition, Reader, Record
from reloop_stream.log.topics import Topics
from reloop_stream.serving.snapshot import Published
from reloop_stream.serving.snapshot_folder import snapshot_file, snapshot_versions
from reloop_stream.state.checkpoint import Sections
from reloop_stream.state.files import write_atomic
from reloop_stream.stream.event_feed import FeedStopped
from simulator.experiment.calendar import Calendar

__all__ = ["AnnouncedVersions", "Deployments", "Thaw", "VersionFiles", "VersionSource", "worker_lag"]

logger = logging.getLogger(__name__)

POLL_S = 0.2


# A version from its bytes, and what it is a version of.
Thaw: TypeAlias = Callable[[bytes, LearnerConfig], FrozenModel]


class VersionSource(Protocol):
    """Where a server's versions come from when its learner runs in another process."""

    def poll(self, timeout_s: float) -> list[Published]:
        """Versions that have come since the last call."""

    def all_so_far(self) -> list[Published]:
        """Those that have been announced up to now and are not called off."""

    def close(self) -> None: ...


def worker_lag(calendar: Calendar, delay_ms: int) -> int:
    """How many ticks a learner may lie behind serving without serving ever having to wait for it."""
    bounds = calendar.bounds_ms
    # Ticks that a version serving in each tick may have learnt; before the first of them serving needs nothing.
    learnt = np.searchsorted(bounds[1:], bounds[:-1] - delay_ms, side="right")
    lags = (np.arange(calendar.ticks) - learnt)[learnt > 0]
    return int(lags.min()) if len(lags) else 0


class Deployments:
    """A version trained up to the end of tick t serves in ticks that begin `delay_ms` after that or later.

    publish_ticks: when the learner publishes, in order; known beforehand, so that a server waits only for a version
    that is due. Those that a checkpoint holds are added. base: serves until the first version is due. source: where versions come
    from; is_remote: whether it is waited for, because the learner is in another process.
    """

    def __init__(
        self,
        calendar: Calendar,
        publish_ticks: np.ndarray,
        delay_ms: int,
        base: FrozenModel,
        learner: LearnerConfig,
        source: VersionSource | None = None,
        *,
        is_remote: bool = True,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self._calendar = calendar
        self._publish_ticks = publish_ticks
        self._delay_ms = delay_ms
        self._base = base
        self._learner = learner
        self._source = source
        self._is_remote = is_remote
        self._should_stop = should_stop
        self.offered: dict[int, FrozenModel] = {}  # by the tick of publication
        self._inherited: dict[int, LearnerConfig] = {}  # likewise, of versions that another learner published

    def offer(self, published: Published) -> None:
        """Take a version to deploy when it is due. The copy of a known one (after a restart) changes nothing."""
        self.offered.setdefault(published.tick, published.model)

    def due(self, tick: int) -> FrozenModel:
        """The version that serves in this tick; waits for it where it comes from another process. Forgets older ones.

        Raises FeedStopped when asked to stop meanwhile.
        """
        due_tick = self._due_tick(tick)
        if due_tick is None:
            return self._base
        self._wait_for(due_tick)
        self._forget_before(tick)
        return self.offered[due_tick]

    def serving(self, tick: int) -> FrozenModel:
        """What stamps in this tick: the base rate in the warm-up, then the version that is due. Raises FeedStopped."""
        if self._calendar.phase_of_tick(tick) != "warmup":
            return self.due(tick)
        self._forget_before(tick)  # in a long warm-up they would pile up
        return self._base

    def _forget_before(self, tick: int) -> None:
        """Let go of the versions older than the one that is due."""
        due_tick = self._due_tick(tick)
        for published_at in [t for t in self.offered if due_tick is not None and t < due_tick]:
            del self.offered[published_at]

    def _due_tick(self, tick: int) -> int | None:
        """When the version that serves in a tick was published; None before the first one is due."""
        bounds = self._calendar.bounds_ms
        ready = bounds[self._publish_ticks + 1] + self._delay_ms <= bounds[tick]
        return int(self._publish_ticks[ready][-1]) if ready.any() else None

    def collect(self, tick: int) -> None:
        """Wait for every version published up to the end of a tick that may still have to serve: what a fork goes on from."""
        oldest = self._due_tick(tick)
        for published_at in self._publish_ticks.tolist():
            if (0 if oldest is None else oldest) <= published_at <= tick:
                self._wait_for(published_at)

    def needed_after(self, tick: int) -> int:
        """The tick of the oldest version that may serve after this one: older ones are asked for no more."""
        following = min(tick + 1, len(self._calendar.bounds_ms) - 1)
        return self._due_tick(following) or 0

    def put_into(self, sections: Sections) -> None:
        """Add the versions that serve, or will, to a checkpoint, each with what it is a version of."""
        kept = {tick: self._inherited.get(tick, self._learner) for tick in sorted(self.offered)}
        learners = [[tick, config.model_dump(mode="json")] for tick, config in kept.items()]
        sections.put("deployed", {"learners": learners})
        for published_at, model in self.offered.items():
            sections.put_bytes(f"version.{published_at}", model.to_bytes())

    def get_from(self, sections: Sections, thaw: Thaw) -> None:
        learners = sections.get("deployed")[0]["learners"]
        self._inherited = {tick: LearnerConfig.model_validate(config) for tick, config in learners}
        self.offered = {
            tick: thaw(sections.get_bytes(f"version.{tick}"), config) for tick, config in self._inherited.items()
        }
        known = np.array(sorted(self.offered), dtype=self._publish_ticks.dtype)
        self._publish_ticks = np.union1d(self._publish_ticks, known)

    def catch_up(self) -> None:
        """After a restart: take what the learner published since the checkpoint, when it was perhaps in another process. It will
        not publish again what came before its own checkpoint."""
        if self._source is not None:
            for published in self._source.all_so_far():
                self.offer(published)

    def close(self) -> None:
        if self._source is not None:
            self._source.close()

    def _wait_for(self, published_at: int) -> None:
        while published_at not in self.offered:
            if self._source is None or not self._is_remote:
                raise RuntimeError(f"the version of tick {published_at} is due and was not published")
            if self._should_stop():
                raise FeedStopped
            for published in self._source.poll(POLL_S):
                self.offer(published)


class VersionFiles:
    """Deployed versions as files, numbered by the tick of their publication, for servers in other processes.

    A file holds the model alone; a server knows the settings. A version that several servers of a process deploy is one object.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: WeakValueDictionary[tuple[str, int], FrozenModel] = WeakValueDictionary()

    def path(self, learner: str, tick: int) -> Path:
        return snapshot_file(self._folder, learner, tick)

    def write(self, published: Published) -> None:
        write_atomic(self.path(published.learner, published.tick), published.model.to_bytes())

    def read(self, learner: str, tick: int, thaw: Callable[[bytes], FrozenModel]) -> FrozenModel | None:
        """None where its file is gone: no server needs it any more."""
        model = self._known.get((learner, tick))
        if model is None:
            try:
                model = thaw(self.path(learner, tick).read_bytes())
            except FileNotFoundError:
                return None
            self._known[learner, tick] = model
        return model

    def forget(self, learner: str, before: int) -> None:
        """Remove a learner's versions published before a tick."""
        for of, tick, path in snapshot_versions(self._folder):
            if of == learner and tick < before:
                path.unlink(missing_ok=True)


class AnnouncedVersions:
    """Versions as their learner announces them on the topic `snapshots`; the weights come from their files."""

    def __init__(
        self, log: EventLog, topics: Topics, learner: str, files: VersionFiles, thaw: Callable[[bytes], FrozenModel]
    ) -> None:
        self._log = log
        self._topic = topics.snapshots
        self._learner = learner
        self._files = files
        self._thaw = thaw
        self._reader: Reader | None = None

    def poll(self, timeout_s: float) -> list[Published]:
        if self._reader is None:
            partitions: list[Partition] = self._log.partitions(self._topic)
            self._reader = self._log.reader(self._log.begin_offsets(partitions))
        versions = []
        for record in self._reader.poll(timeout_s):
            said = _read_announcement(record)
            if said is None or said.learner != self._learner:
                continue
            model = self._files.read(self._learner, said.tick, self._thaw)
            if model is not None:
                versions.append(Published(self._learner, said.version, said.tick, said.watermark_ms, model))
        return versions

    def all_so_far(self) -> list[Published]:
        ends = self._log.end_offsets(self._log.partitions(self._topic))
        versions = self.poll(0.0)
        assert self._reader is not None
        while any(at < ends[place] for place, at in self._reader.position().items()):
            versions += self.poll(POLL_S)
        return versions

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()


class _Announcement(msgspec.Struct):
    learner: str
    version: int
    tick: int
    watermark_ms: int


def _read_announcement(record: Record) -> _Announcement | None:
    """None, and a line in the log, for a record that is none: no version is lost by it."""
    try:
        return msgspec.json.decode(record.value, type=_Announcement)
    except msgspec.DecodeError as error:
        place = f"{record.partition.topic}[{record.partition.number}] offset {record.offset}"
        logger.warning("%s: is no announcement of a version (%s); passed over", place, error)
        return None
