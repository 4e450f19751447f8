"""The parts of a run: one scenario's feed, log, assignment, servers and workers, built when first needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import Any

from reloop_stream.clock import HOUR_MS
from reloop_stream.config import LearnerConfig
from reloop_stream.events import ExampleBatch
from reloop_stream.learners import BaseRate, FrozenModel, freeze_from_bytes, make_learner
from reloop_stream.log import EventLog
from reloop_stream.stream.example_source import JoinedFeed
from reloop_stream.stream.intake import Intake
from reloop_stream.stream.mark_feed import MarkFeed
from reloop_stream.stream.partition_joins import JoinSettings
from reloop_stream.updating import make_updater, publish_every_ms
from reloop_stream.updating.monitored import MonitoredUpdater
from reloop_stream.worker import Rows, Worker, every_row
from simulator.experiment.assignment import Assignment
from simulator.experiment.calendar import Calendar
from simulator.experiment.stages import Learning, Serving, Stage
from simulator.experiment.training_rows import own_copies, training_rows
from simulator.lab.place import RunPlace
from simulator.lab.recording import Recorder
from simulator.lab.reports import Report
from simulator.lab.tally import Tally
from simulator.run_folder.writer import RunFolder
from simulator.scenario import Scenario, parse_scenario
from simulator.serving.deployments import AnnouncedVersions, Deployments, VersionFiles, worker_lag
from simulator.serving.event_writer import EventWriter
from simulator.serving.feed import Feed
from simulator.serving.server import Server
from simulator.serving.simulated_feed import SimulatedFeed, feed_calendar

__all__ = ["Lab", "open_feed"]


def open_feed(scenario: Scenario, assignment: Assignment, place: RunPlace, calendar: Calendar | None = None) -> Feed:
    """The feed that a scenario describes. place: of the run; a replay's rows lie there, once they are prepared. calendar: of a
    simulated feed, where it is not the scenario's own."""
    if scenario.data is None:
        at_once = place.at_once * place.shards.n  # so much in each shard
        return SimulatedFeed(scenario, assignment, place.shards, calendar or feed_calendar(scenario, at_once))
    from simulator.replay.feed import ReplayedFeed  # brings every format of data sets, and pandas

    return ReplayedFeed(scenario, assignment, place.rows, RunFolder(place.folder))


class Lab:
    """The parts of one scenario, built when they are first needed. calendar: of another run, whose ticks are this one's too."""

    def __init__(self, scenario: Scenario, place: RunPlace, calendar: Calendar | None = None) -> None:
        self.scenario = scenario
        self._calendar = calendar
        self.place = place
        self.names = [arm.name for arm in scenario.arms]

    @classmethod
    def from_raw(cls, raw: Mapping[str, Any], place: RunPlace) -> Lab:
        """A process's own, of a run that has begun."""
        return cls(parse_scenario(raw), place)

    @cached_property
    def log(self) -> EventLog:
        return self.place.open(self.scenario.log)

    def close(self) -> None:
        """Let go of the feed, and of the log: a client of a broker left open would go on asking for as long as this process
        lives."""
        if "feed" in self.__dict__:
            self.feed.close()
        if "log" in self.__dict__:
            self.log.close()

    @cached_property
    def assignment(self) -> Assignment:
        return Assignment(self.scenario.name, self.scenario.seed.salt, self.scenario.shares)

    @cached_property
    def feed(self) -> Feed:
        return open_feed(self.scenario, self.assignment, self.place, self._calendar)

    @property
    def calendar(self) -> Calendar:
        return self.feed.calendar

    @cached_property
    def recorder(self) -> Recorder:
        return Recorder(RunFolder(self.place.folder), self.calendar, self.names)

    @property
    def _delay_ms(self) -> int:
        return round(self.scenario.serving.deploy_delay_hours * HOUR_MS)

    @cached_property
    def lag(self) -> int:
        """How many ticks learners may lie behind serving."""
        return worker_lag(self.calendar, self._delay_ms)

    @cached_property
    def version_files(self) -> VersionFiles:
        """Where versions lie for servers in other processes."""
        return VersionFiles(self.place.folder / "versions")

    def thaw(self, data: bytes, config: LearnerConfig) -> FrozenModel:
        """A deployed version from its bytes, and what it is a version of."""
        return freeze_from_bytes(data, self.feed.fields, config)

    def make_worker(self, role: Learning, report: Report, should_stop: Callable[[], bool]) -> Worker:
        """The role's worker, at its beginning."""
        scenario, calendar, feed, topics = self.scenario, self.calendar, self.feed, self.place.topics
        config, seed = self._config_of(role), scenario.seed.model
        learner = make_learner(config, feed.fields, name=role.name, seed=seed, base_rate=feed.base_rate)
        rows: Callable[[ExampleBatch], Rows] = every_row
        if scenario.is_paired:
            rows = own_copies(self.names[role.config_of])
        elif role.arm is not None and role.config_of == role.loss_of:
            fork_ms = int(calendar.bounds_ms[calendar.first_tick_of("ab")])
            rows = training_rows(scenario.experiment.data, role.arm, self.names, self.assignment, fork_ms)
        tally = Tally(
            calendar,
            [self.names[i] for i in role.counts],
            scenario.attribution_ms,
            lambda day: self.recorder.close_day(day, report),
            feed.is_random,
            in_blocks=scenario.is_replay,
            copies=len(self.names) if scenario.is_paired else 1,
            top=feed.top,
            seed=scenario.seed.world,
            items=feed.items,
        )
        updater = make_updater(config, learner, seed)
        if isinstance(updater, MonitoredUpdater):
            updater.on_reading = partial(self.recorder.read_monitor, role)
        events = MarkFeed(self.log, topics, role.partitions, select=Intake(learner.encoder), should_stop=should_stop)
        return Worker(
            role.name,
            self.log,
            topics,
            JoinedFeed(events, topics, JoinSettings(scenario.attribution_ms, scenario.join.emit)),
            updater,
            start_ms=int(calendar.bounds_ms[0]),
            publish_every_ms=publish_every_ms(config),
            writes_to=role.config_of,
            rows=rows,
            observer=tally,
            write_examples=scenario.log.examples,
            should_stop=should_stop,
        )

    def _config_of(self, role: Learning) -> LearnerConfig:
        arms = self.scenario.arms
        loss, updating = arms[role.loss_of].learner.loss, arms[role.updating_of].learner.updating
        return arms[role.config_of].learner.model_copy(update={"loss": loss, "updating": updating})

    def make_server(self, role: Serving, stage: Stage, is_remote: bool, should_stop: Callable[[], bool]) -> Server:
        """The role's server, at its beginning. is_remote: its learner runs in another process."""
        scenario, topics = self.scenario, self.place.topics
        learner_role = next(learning for learning in stage.learning if learning.name == role.learner)
        config = scenario.arms[learner_role.config_of].learner
        thaw = partial(self.thaw, config=config)
        source = AnnouncedVersions(self.log, topics, role.learner, self.version_files, thaw)
        base = BaseRate(self.feed.base_rate)
        published = self.calendar.publish_ticks(publish_every_ms(config))
        published = published[published >= stage.first_tick]  # those from before come with the fork
        deployments = Deployments(
            self.calendar,
            published,
            self._delay_ms,
            base,
            config,
            source,
            is_remote=is_remote,
            should_stop=should_stop,
        )
        partitions = [self.place.shards.partition(arm, role.shard) for arm in role.arms]
        writer = EventWriter(self.log, topics, partitions, scenario.log.encoding)
        truth = stage.name == "ab" and (scenario.truth.experiment or len(self.names) == 1)
        # A counterfactual run is there for its truth alone.
        bounds = stage.name == "ab" and scenario.truth.bounds and self.place.origin is None
        return self.feed.server(role.arms, role.shard, deployments, writer, truth=truth, bounds=bounds)
