"""A run from beginning to end: stages in order, what their processes tell, and the run folder."""

from __future__ import annotations

import logging
import shutil
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from reloop_stream.errors import LogUnavailable
from reloop_stream.log.topics import TOPICS
from reloop_stream.runtime.logging import log_to_file
from reloop_stream.runtime.processes import peak_mib_of_largest
from simulator.datasets.config import DataConfig
from simulator.datasets.fingerprint import fingerprints, require_same
from simulator.datasets.prepared import unless
from simulator.datasets.rejects import FILE_NAME as BAD_ROWS
from simulator.errors import MISTAKES, RunFailed
from simulator.experiment.shards import Shards
from simulator.experiment.stages import Stage, most_processes, plan_stages, spread
from simulator.lab.crew import Crew, CrewError
from simulator.lab.disk import check_disk
from simulator.lab.engines import Engine, ThisMachine
from simulator.lab.loop import Stopped
from simulator.lab.parts import Lab
from simulator.lab.place import RunPlace
from simulator.lab.reports import DayClosed, Report, Saved, ServerSaved, StageFinished, TickServed, Told
from simulator.lab.retention import Retention
from simulator.lab.run_progress import ReadingProgress, RunProgress
from simulator.lab.truth import launches
from simulator.run_folder.manifest import Counts, Manifest, StageTimings, Timings
from simulator.run_folder.provenance import provenance
from simulator.run_folder.writer import RunFolder, new_folder_name
from simulator.scenario import Scenario
from simulator.serving.exact_sums import bound_rows, truth_rows

__all__ = ["resume_run", "shards_for", "start_run"]

logger = logging.getLogger(__name__)

# Exposures a run must expect before it pays to start a second process: each loads torch again, and makes the world.
WORTH_A_PROCESS = 1_000_000
# Learning from an exposure takes about twice as long as serving it, and for the truth every arm serves everyone.
SERVERS_A_LEARNER = 2


def default_workers(lab: Lab, cores: int) -> int:
    """A process an arm, where there are cores and enough to do; with more cores an arm, servers beside its learner."""
    arms, expected = len(lab.names), lab.feed.expected_exposures
    if expected is not None and expected < WORTH_A_PROCESS:
        return 1
    most = arms if lab.scenario.is_replay else arms * (1 + SERVERS_A_LEARNER)
    return min(cores, most) // arms * arms or cores


def shards_for(workers: int, scenario: Scenario) -> Shards:
    """Into how many shards an arm's users are cut, so that every process beyond one an arm, which learns, has some to serve.

    A replay has one: its rows are there already, and stamping them takes less than learning from them.
    """
    arms = len(scenario.arms)
    return Shards(1 if scenario.is_replay else max(1, -(-(workers - arms) // arms)))


def start_run(
    scenario: Scenario,
    out: Path | None,
    *,
    command: str,
    workers: int | None = None,
    engine: Engine | None = None,
    quiet: bool = False,
    should_stop: Callable[[], bool] = lambda: False,
) -> RunFolder:
    """Run a scenario into a new folder. Raises ConfigError, RunFolderError, and RunFailed for what can be resumed.

    engine: who does the work; None: this machine.
    """
    engine = engine or ThisMachine()
    engine.check(scenario)
    path = out or Path("runs") / new_folder_name(scenario)
    lab = Lab(scenario, RunPlace(path, scenario.log.url, path.resolve().name))
    wanted = workers or default_workers(lab, engine.cores)
    engine.prepare(wanted, scenario)  # while the feed is made, and its rows are read
    lab = Lab(scenario, replace(lab.place, shards=shards_for(wanted, scenario)))
    RunFolder.check_free(path)
    tight = check_disk(scenario, lab.feed.expected_exposures, path)
    data = {} if scenario.data is None else fingerprints(scenario.data.path, _files_of(scenario.data))
    rows = path.with_name(f".{path.name}.rows")  # a mistake shows before there is a folder
    try:
        with ReadingProgress(quiet=quiet) as progress:
            warnings, notes = lab.feed.prepare(rows, unless(should_stop, progress.rows))
        lab.place.check(scenario.log, {})
        folder = RunFolder.create(path, scenario)
        if data:
            rows.replace(lab.place.rows)
            _keep_bad_rows(lab.place)
    finally:
        shutil.rmtree(rows, ignore_errors=True)
    revision, packages = provenance()
    manifest = Manifest(
        scenario=scenario.name,
        kind=lab.feed.kind,
        status="running",
        command=command,
        seeds=scenario.seed.model_dump(),
        log=scenario.log.url,
        prefix=lab.place.prefix,
        git=revision,
        versions=packages,
        warnings=scenario.warnings() + tight + warnings,
        notes=notes,
        stages_done=[],
        truth=[],
        learners={},
        timings=Timings(),
        data=data,
        shards=lab.place.shards.n,
        at_once=lab.place.at_once,
    )
    folder.write_manifest(manifest)
    _Run(folder, lab, manifest, workers, engine, quiet).go(should_stop)
    return folder


def resume_run(
    path: Path,
    *,
    workers: int | None = None,
    engine: Engine | None = None,
    quiet: bool = False,
    should_stop: Callable[[], bool] = lambda: False,
) -> RunFolder:
    """Go on with a run that was stopped, killed or whose broker went away. A finished one is only read out again.

    Raises DataError where it was killed before its data were read, and they are not what they were.
    """
    folder, scenario, manifest = RunFolder.open(path)
    engine = engine or ThisMachine()
    engine.check(scenario)
    shards, at_once = Shards(manifest.shards), manifest.at_once
    lab = Lab(scenario, RunPlace(path, scenario.log.url, manifest.prefix, shards=shards, at_once=at_once))
    if manifest.status != "finished":
        if scenario.data is not None and not lab.place.rows.exists():  # it was killed as it began
            require_same(scenario.data.path, _files_of(scenario.data), manifest.data)
            with ReadingProgress(quiet=quiet) as progress:
                lab.feed.prepare(lab.place.rows, unless(should_stop, progress.rows))
        _keep_bad_rows(lab.place)
        lab.place.check(scenario.log, manifest.topics)
    _Run(folder, lab, manifest, workers, engine, quiet).go(should_stop)
    return folder


def _files_of(data: DataConfig) -> Sequence[Path]:
    from simulator.datasets.read import open_source  # brings pandas

    return open_source(data).files


def _keep_bad_rows(place: RunPlace) -> None:
    """The list of rows that could not be read outlives the rows that could."""
    if (told := place.rows / BAD_ROWS).exists():
        told.replace(place.folder / BAD_ROWS)


class _Run:
    def __init__(
        self,
        folder: RunFolder,
        lab: Lab,
        manifest: Manifest,
        workers: int | None,
        engine: Engine,
        quiet: bool,
    ) -> None:
        self._folder = folder
        self._lab = lab
        self._scenario = lab.scenario
        self._manifest = manifest
        self._engine = engine
        self._workers = workers or default_workers(lab, engine.cores)
        self._quiet = quiet
        engine.prepare(self._workers, self._scenario)

    def go(self, should_stop: Callable[[], bool]) -> None:
        """Run what is left of the run. The manifest says how it ended, whatever happens."""
        started, manifest = time.monotonic(), self._manifest
        if manifest.status == "finished":
            self._folder.delete_day_files()
            return
        manifest.status, manifest.error, manifest.workers = "running", None, self._workers
        with log_to_file(self._folder.path / "log.txt"):
            try:
                for warning in manifest.warnings:
                    logger.warning(warning)
                for note in manifest.notes:
                    logger.info(note)
                self._run_stages(should_stop)
                manifest.status = "finished"
            except (Stopped, KeyboardInterrupt):
                manifest.status = "interrupted"
                raise RunFailed("Stopped", "stopped", self._folder.path) from None
            except Exception as error:
                manifest.status = "failed"
                raise self._failed(error) from error
            finally:
                try:
                    self._finish(time.monotonic() - started)
                except KeyboardInterrupt:  # the manifest is as it was, and a resumed run makes the tables again
                    raise RunFailed("Stopped", "stopped", self._folder.path) from None
                finally:
                    self._lab.close()

    def _failed(self, error: Exception) -> RunFailed:
        kind, is_mistake = type(error).__name__, isinstance(error, MISTAKES)
        trace = "".join(traceback.format_exception(error))
        if isinstance(error, CrewError):
            kind, is_mistake, trace = error.kind, error.is_mistake, error.trace
        message = self._manifest.error = f"{kind}: {error}"
        logger.info("failed: %s\n%s", error, trace)
        if kind == LogUnavailable.__name__:
            message += "; in a scenario that is log.unavailable_after_s"
        return RunFailed(kind, message, self._folder.path, is_mistake=is_mistake)

    def _run_stages(self, should_stop: Callable[[], bool]) -> None:
        lab, scenario, place = self._lab, self._scenario, self._lab.place
        calendar = lab.calendar
        stages = plan_stages(scenario, calendar, place.shards)
        workers = self._useful(stages)
        partitions = len(scenario.arms) * place.shards.n
        lab.log.create_topics(dict.fromkeys(place.topics, partitions), kept=True)
        if place.log_url != "embedded" and not self._manifest.topics:
            self._manifest.topics = lab.log.topic_ids(place.topics)
            self._folder.write_manifest(self._manifest)
        if (segments := lab.feed.segments()) is not None:
            self._folder.write_segments(segments)
        bar = RunProgress(calendar.ticks, calendar.days, lab.names, of_replay=scenario.is_replay, quiet=self._quiet)
        with bar as progress:
            raw = scenario.model_dump(mode="json", exclude_none=True)
            crew = Crew(lab, self._engine.hands(workers, raw, place))
            try:
                before: Stage | None = None
                for stage in stages:
                    self._run_stage(crew, stage, before, progress, should_stop)
                    before = stage
                if scenario.truth.launch and len(stages) > 1 and lab.feed.has_truth:
                    self._run_launches(stages, progress, should_stop)
            except KeyboardInterrupt:
                crew.close(patience_s=0)
                raise
            finally:
                crew.close()
        self._delete_scaffolding(stages)

    def _useful(self, stages: list[Stage]) -> int:
        """As many of the wanted processes as have something to do in some stage."""
        most = max(most_processes(stage) for stage in stages)
        if self._workers > most:
            cut = self._lab.place.shards.n
            why = "a server and a learner an arm"
            if not self._scenario.is_replay:
                why = f"users were cut into {cut} shard{'s' * (cut > 1)} an arm when it began"
            logger.warning("--workers %d: this run has work for %d processes: %s", self._workers, most, why)
        return min(self._workers, most)

    def _run_stage(
        self, crew: Crew, stage: Stage, before: Stage | None, progress: RunProgress, should_stop: Callable[[], bool]
    ) -> None:
        manifest = self._manifest
        if stage.name in manifest.stages_done:
            return
        logger.info("stage %s: ticks %d to %d", stage.name, stage.first_tick, stage.last_tick)
        progress.next_stage()
        retention = Retention(self._lab, stage)
        finished: dict[tuple[str, ...], StageFinished] = {}  # one a share, which may have been done more than once

        def report(told: Told) -> None:
            match told:
                case TickServed():
                    self._show(progress, stage.name, told)
                case DayClosed():
                    self._folder.add_day(told.row, self._lab.names)
                    progress.day(told.row)
                case ServerSaved():
                    retention.server_saved(told)
                case Saved():
                    retention.learner_saved(told)
                case StageFinished():
                    finished[told.roles] = told
                    spent = manifest.timings.stages.setdefault(stage.name, StageTimings())
                    spent.wall_s = max(spent.wall_s, time.time() - told.began)
                    for part, cpu_s in told.cpu_s.items():
                        spent.cpu_s[part] = spent.cpu_s.get(part, 0.0) + cpu_s

        crew.run(stage, before, spread(stage, crew.size), report, should_stop)
        manifest.truth.extend(truth_rows((one for told in finished.values() for one in told.truth), "experiment"))
        manifest.bounds.extend(bound_rows(one for told in finished.values() for one in told.bounds))
        for told in finished.values():
            manifest.learners.update(told.learners)
        manifest.stages_done.append(stage.name)
        self._folder.write_manifest(manifest)

    def _show(self, progress: RunProgress, what: str, told: TickServed) -> None:
        calendar, tick = self._lab.calendar, told.tick
        day, phase = calendar.day_of_tick(tick), calendar.phase_of_tick(tick)
        progress.tick(f"{what}.{'+'.join(told.servers)}", tick, told.exposures, day, phase)

    def _run_launches(self, stages: list[Stage], progress: RunProgress, should_stop: Callable[[], bool]) -> None:
        manifest = self._manifest

        def watch(arm: str) -> Report:
            progress.next_stage()
            progress.note(f"true uplift: launching {arm} for everyone")

            def report(told: Told) -> None:
                if isinstance(told, TickServed):
                    self._show(progress, f"launch-{arm}", told)

            return report

        done = manifest.stages_done.__contains__
        for name, truth in launches(self._lab, stages, done, watch, should_stop):
            manifest.truth.extend(truth)
            manifest.stages_done.append(name)
            self._folder.write_manifest(manifest)

    def _delete_scaffolding(self, stages: list[Stage]) -> None:
        """What only a restart needs, of stages that are over. The last stage's checkpoints hold the final models: kept."""
        for stage in stages[:-1]:
            for path in (self._folder.path / "checkpoints").glob(f"{stage.name}.*.ckpt"):
                path.unlink()
        shutil.rmtree(self._folder.path / "versions", ignore_errors=True)
        shutil.rmtree(self._lab.place.rows, ignore_errors=True)

    def _finish(self, wall_s: float) -> None:
        manifest, names = self._manifest, self._lab.names
        manifest.timings.wall_s = round(manifest.timings.wall_s + wall_s, 3)
        manifest.timings.peak_rss_mib_of_largest_process = peak_mib_of_largest()
        by_arm = {told.arm: told.digest for told in manifest.learners.values() if told.arm is not None}
        manifest.digests = {names[arm]: by_arm[arm] for arm in sorted(by_arm)} or {
            name: told.digest for name, told in manifest.learners.items()
        }
        finished = manifest.status == "finished"
        self._folder.write_daily(names)  # with days that only their files told of
        if finished:  # these are large, and until then read from the days' files
            self._folder.write_users()
            self._folder.write_topics(names)
        self._folder.write_items()
        self._folder.write_blocks(names)
        self._folder.write_reliability(names)
        self._folder.write_off_policy()
        self._folder.write_monitor(names)
        self._folder.write_truth(manifest.truth)
        self._folder.write_bounds(manifest.bounds, names)
        if finished:
            manifest.counts = self._counts()
        self._folder.write_manifest(manifest)
        if finished:
            self._folder.delete_day_files()

    def _counts(self) -> Counts:
        """Records ever appended by topic, from the log, and what each learner counted since the run began."""
        log, topics = self._lab.log, self._lab.place.topics
        records = {
            topic: sum(log.end_offsets(log.partitions(full_name)).values())
            for topic, full_name in zip(TOPICS, topics, strict=True)
        }
        return Counts(records, {name: told.counts for name, told in self._manifest.learners.items()})
