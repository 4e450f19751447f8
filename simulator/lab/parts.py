"""The parts of a run: one scenario's world or data, calendar, assignment, servers and workers, built when first needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import Any

import numpy as np
import pyarrow as pa

from reloop_stream.config import FieldConfig, LearnerConfig
from reloop_stream.learners.base import FrozenModel
from reloop_stream.log import EventLog
from reloop_stream.stream.example_source import JoinedFeed
from reloop_stream.stream.intake import Intake
from reloop_stream.stream.mark_feed import MarkFeed
from reloop_stream.stream.partition_joins import JoinSettings
from reloop_stream.updating import make_updater, publish_every_ms
from reloop_stream.updating.monitor import MonitorReading
from reloop_stream.updating.monitored import MonitoredUpdater
from reloop_stream.worker import Worker
from simulator.experiment.assignment import Assignment
from simulator.experiment.calendar import Calendar
from simulator.experiment.stages import Learning, Serving, Stage
from simulator.experiment.training_rows import training_rows
from simulator.lab.place import Place, Report
from simulator.lab.tally import DayOfArm, Tally
from simulator.run_folder.writer import RunFolder
from simulator.scenario import Scenario, ScenarioError, parse_scenario
from simulator.serving.deployments import AnnouncedVersions, Deployments, SnapshotFolder, worker_lag
from simulator.serving.server import Server
from simulator.serving.slates import is_random_request

__all__ = ["HOUR_MS", "Lab"]

HOUR_MS = 3_600_000


class Lab:
    """The parts of one scenario, built when they are first needed."""

    def __init__(self, scenario: Scenario, place: Place) -> None:
        self.scenario = scenario
        self.place = place
        self.names = [arm.name for arm in scenario.arms]
        self._readings: dict[str, list[dict[str, Any]]] = {}

    @classmethod
    def from_raw(cls, raw: Mapping[str, Any], place: Place) -> Lab:
        return cls(parse_scenario(raw), place)

    def prepare(self) -> None:
        """Build the world, or read the data. Raises ScenarioError and DataError."""
        if not self.scenario.is_replay:
            _ = self.world
        _ = self.calendar

    @cached_property
    def log(self) -> EventLog:
        return self.place.open(self.scenario)

    @cached_property
    def assignment(self) -> Assignment:
        return Assignment(self.scenario.name, self.scenario.seed.salt, [arm.share for arm in self.scenario.arms])

    @cached_property
    def world(self) -> Any:
        from simulator.world import World

        scenario = self.scenario
        assert scenario.world is not None
        try:
            return World(scenario.world, scenario.seed.world, scenario.tick_ms, scenario.serving.slate)
        except ValueError as error:  # a ctr that these knobs cannot give
            raise ScenarioError(f"{scenario.name}: {error}") from None

    @cached_property
    def replayed(self) -> Any:
        from simulator.replay.stream import ReplayStream

        scenario = self.scenario
        assert scenario.data is not None and scenario.features is not None
        return ReplayStream(scenario.data, scenario.phases.days, scenario.features, scenario.attribution_ms)

    @cached_property
    def calendar(self) -> Calendar:
        if self.scenario.is_replay:
            calendar: Calendar = self.replayed.calendar
            return calendar
        from simulator.world import DAY_MS, EPOCH_MS

        return Calendar.regular(
            start_ms=EPOCH_MS,
            tick_ms=self.scenario.tick_ms,
            day_ms=DAY_MS,
            days=self.scenario.phases.days,
            attribution_ms=self.scenario.attribution_ms,
        )

    @cached_property
    def fields(self) -> list[FieldConfig]:
        if self.scenario.features is not None:
            return self.scenario.features
        return [
            FieldConfig(name=name, kind="category", mode="exact", buckets=size)
            if size is not None
            else FieldConfig(name=name, kind="category", mode="hashed", buckets=1 << 15)
            for name, size in self.world.field_sizes.items()
        ]

    @cached_property
    def base_rate(self) -> float:
        if self.scenario.is_replay:
            return float(self.replayed.base_rate)
        assert self.scenario.world is not None
        return self.scenario.world.ctr

    @property
    def delay_ms(self) -> int:
        return round(self.scenario.serving.deploy_delay_hours * HOUR_MS)

    @cached_property
    def lag(self) -> int:
        return worker_lag(self.calendar, self.delay_ms)

    @cached_property
    def snapshots(self) -> SnapshotFolder:
        if self.scenario.is_replay:  # its ticks have no length: keep them all
            return SnapshotFolder(self.place.folder / "snapshots", self.calendar.ticks)
        span_ms = round(self.scenario.checkpoint_every_hours * HOUR_MS) + self.delay_ms
        return SnapshotFolder(self.place.folder / "snapshots", 2 * (span_ms // self.scenario.tick_ms + 2))

    def thaw(self, data: bytes, config: LearnerConfig) -> FrozenModel:
        """A deployed version from its bytes, and what it is a version of."""
        from reloop_stream.learners import freeze_from_bytes

        return freeze_from_bytes(data, self.fields, config)

    def make_worker(self, role: Learning, report: Report, should_stop: Callable[[], bool]) -> Worker:
        """The role's worker, at its beginning."""
        from reloop_stream.learners import make_learner

        arms = self.scenario.arms
        loss, updating = arms[role.loss_of].learner.loss, arms[role.updating_of].learner.updating
        config = arms[role.config_of].learner.model_copy(update={"loss": loss, "updating": updating})
        learner = make_learner(
            config, self.fields, name=role.name, seed=self.scenario.seed.model, base_rate=self.base_rate
        )
        calendar = self.calendar
        fork_ms = int(calendar.bounds_ms[calendar.first_tick_of("ab")])
        options: dict[str, Any] = {}
        if role.arm is not None and role.config_of == role.loss_of and len(self.names) > 1:
            options["rows"] = training_rows(
                self.scenario.experiment.data, role.arm, self.names, self.assignment, fork_ms
            )
        tally = Tally(
            calendar,
            [self.names[i] for i in role.counts],
            self.scenario.attribution_ms,
            lambda day: self._close_day(day, report),
            None if self.scenario.is_replay else self._is_random,
        )
        updater = make_updater(config, learner, self.scenario.seed.model)
        if isinstance(updater, MonitoredUpdater):
            updater.on_reading = partial(self._read_monitor, role)
        topics = self.place.topics
        feed = MarkFeed(self.log, topics, role.partitions, select=Intake(learner.encoder), should_stop=should_stop)
        return Worker(
            role.name,
            self.log,
            topics,
            JoinedFeed(feed, topics, JoinSettings(self.scenario.attribution_ms, self.scenario.join.emit)),
            updater,
            start_ms=int(calendar.bounds_ms[0]),
            publish_every_ms=publish_every_ms(config),
            writes_to=role.config_of,
            observer=tally,
            write_examples=self.scenario.log.examples,
            should_stop=should_stop,
            **options,
        )

    def _read_monitor(self, role: Learning, reading: MonitorReading) -> None:
        """Keep what a learner's monitor says, under the arm whose settings it has, until the next checkpoint."""
        calendar, day = self.calendar, self.calendar.day_of_tick(reading.tick)
        begins, ends = calendar.day_bounds_ms[day : day + 2].tolist()
        place = {"learner": role.name, "arm": self.names[role.config_of], "day": day}
        # Closing ticks, which may take long in a replay, count as the end of the last day.
        time = day + min(1.0, (reading.watermark_ms - begins) / (ends - begins))
        row = {**place, "time": time, **reading._asdict(), "alarm": int(reading.alarm)}
        self._readings.setdefault(role.name, []).append(row)

    def write_readings(self, learner: str) -> None:
        """Write what its monitor has said since the last time. To be called before the learner's checkpoint is written:
        what comes after a checkpoint is said again when a run goes on from it."""
        if rows := self._readings.pop(learner, None):
            RunFolder(self.place.folder).write_readings(rows)

    def _is_random(self, request_id: np.ndarray) -> np.ndarray:
        return is_random_request(request_id, self.scenario.serving.random_share, self.scenario.seed.world)

    def _close_day(self, day: DayOfArm, report: Report) -> None:
        """Keep a finished day: its users as a file (written over, should a resumed run come here again), its row."""
        row, n = day.row, len(day.user_id)
        columns = {
            "user_id": day.user_id,
            "arm": pa.array([row["arm"]] * n, pa.string()),
            "day": np.full(n, row["day"], dtype=np.int32),
            "phase": pa.array([row["phase"]] * n, pa.string()),
            "exposures": day.exposures,
            "clicks": day.clicks,
        }
        RunFolder(self.place.folder).write_day(row, columns)
        report("day", row)

    def make_server(self, role: Serving, stage: Stage, remote: bool, should_stop: Callable[[], bool]) -> Server:
        """The role's server, at its beginning. remote: its learner runs in another process."""
        from reloop_stream.learners import BaseRate
        from simulator.serving.event_writer import EventWriter
        from simulator.serving.feed_server import FeedServer

        learner_role = next(learning for learning in stage.learning if learning.name == role.learner)
        config = self.scenario.arms[learner_role.config_of].learner
        source = None
        if remote:
            thaw = partial(self.thaw, config=config)
            source = AnnouncedVersions(self.log, self.place.topics, role.learner, self.snapshots, thaw)
        base = BaseRate(self.base_rate)
        published = self.calendar.publish_ticks(publish_every_ms(config))
        published = published[published >= stage.first_tick]  # those from before come with the fork
        deployments = Deployments(self.calendar, published, self.delay_ms, base, config, source, should_stop)
        writer = EventWriter(self.log, self.place.topics, role.arms, self.scenario.log.encoding)
        if self.scenario.is_replay:
            from simulator.replay.server import ReplayServer

            return ReplayServer(
                self.replayed, self.calendar, deployments, writer, self.assignment, self.names, role.arms, base
            )
        return FeedServer(
            self.world,
            self.calendar,
            self.scenario.serving,
            deployments,
            writer,
            arms=self.names,
            arm_of_user=self.arm_of_user,
            serves=role.arms,
            base_rate=base,
            truth=stage.name == "ab" and (self.scenario.truth.experiment or len(self.names) == 1),
            seed=self.scenario.seed.world,
        )

    @cached_property
    def arm_of_user(self) -> np.ndarray:
        return self.assignment.arms(np.arange(self.world.n_users))
