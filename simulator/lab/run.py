"""A run from beginning to end: stages in order, what they report, the run folder, and the readout."""

from __future__ import annotations

import logging
import os
import resource
import shutil
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from reloop_stream.log import EventLog, Partition
from reloop_stream.log.topics import TOPICS
from reloop_stream.runtime.logging import log_to_file
from simulator.experiment.stages import Stage, plan_stages, spread
from simulator.lab.crew import Crew, CrewError
from simulator.lab.loop import Stopped
from simulator.lab.parts import Lab
from simulator.lab.place import Place
from simulator.lab.run_progress import RunProgress
from simulator.run_folder.provenance import git_revision, versions
from simulator.run_folder.writer import RunFolder, new_folder_name
from simulator.scenario import Scenario

__all__ = ["RunFailed", "resume_run", "start_run"]

logger = logging.getLogger(__name__)

# Exposures a process must have to do before it pays to start a second one (about three seconds' worth of start).
WORTH_A_PROCESS = 300_000


class RunFailed(Exception):
    """A run that did not come to its end. What was done is kept in `path`; `kind` names the cause, "Stopped" for Ctrl-C."""

    def __init__(self, kind: str, message: str, path: Path) -> None:
        super().__init__(f"{message}\nwhat was done is kept; go on with: python -m simulator resume {path}")
        self.kind = kind
        self.path = path


def default_workers(scenario: Scenario) -> int:
    """A process an arm, where there are cores and enough to do."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if scenario.world is not None and scenario.days * scenario.world.users.n * 15 < WORTH_A_PROCESS:
        return 1
    return max(1, min(cores, max(2, len(scenario.arms)))) if len(scenario.arms) > 1 else 1


def start_run(
    scenario: Scenario,
    out: Path | None,
    *,
    command: str,
    workers: int | None = None,
    quiet: bool = False,
    should_stop: Callable[[], bool] = lambda: False,
) -> RunFolder:
    """Run a scenario into a new folder. Raises RunFolderError, and RunFailed for what can be resumed."""
    path = out or Path("runs") / new_folder_name(scenario)
    lab = Lab(scenario, Place(path, scenario.log.url, path.resolve().name))
    lab.prepare()  # a mistake shows before there is a folder
    folder = RunFolder.create(path, scenario)
    manifest: dict[str, Any] = {
        "scenario": scenario.name,
        "kind": "replay" if scenario.is_replay else "simulation",
        "status": "running",
        "command": command,
        "seeds": scenario.seed.model_dump(),
        "log": scenario.log.url,
        "prefix": path.resolve().name,
        "git": git_revision(),
        "versions": versions(),
        "warnings": scenario.warnings(),
        "stages_done": [],
        "truth": [],
        "learners": {},
        "timings": {"wall_s": 0.0},
    }
    folder.write_manifest(manifest)
    _Run(folder, lab, manifest, workers, quiet).go(should_stop)
    return folder


def resume_run(
    path: Path, *, workers: int | None = None, quiet: bool = False, should_stop: Callable[[], bool] = lambda: False
) -> RunFolder:
    """Go on with a run that was stopped, killed or whose broker went away. A finished one is only read out again."""
    folder, scenario, manifest = RunFolder.open(path)
    lab = Lab(scenario, Place(path, scenario.log.url, manifest["prefix"]))
    _Run(folder, lab, manifest, workers, quiet).go(should_stop)
    return folder


class _Run:
    def __init__(self, folder: RunFolder, lab: Lab, manifest: dict[str, Any], workers: int | None, quiet: bool) -> None:
        self._folder = folder
        self._lab = lab
        self._scenario = lab.scenario
        self._place = lab.place
        self._manifest = manifest
        self._workers = workers or default_workers(lab.scenario)
        self._quiet = quiet
        self._needed: dict[str, dict[Partition, int]] = {}

    def go(self, should_stop: Callable[[], bool]) -> None:
        """Run what is left of the run. The manifest says how it ended, whatever happens."""
        started = time.monotonic()
        if self._manifest["status"] == "finished":
            self._folder.delete_day_files()
            return
        self._manifest["status"] = "running"
        self._manifest["workers"] = self._workers
        handler = log_to_file(self._folder.path / "log.txt")
        try:
            for warning in self._manifest["warnings"]:
                logger.warning(warning)
            self._run_stages(should_stop)
            self._manifest["status"] = "finished"
        except (Stopped, KeyboardInterrupt):
            self._manifest["status"] = "interrupted"
            raise RunFailed("Stopped", "stopped", self._folder.path) from None
        except Exception as error:
            kind = error.kind if isinstance(error, CrewError) else type(error).__name__
            trace = error.trace if isinstance(error, CrewError) else "".join(traceback.format_exception(error))
            self._manifest["status"] = "failed"
            self._manifest["error"] = f"{kind}: {error}"
            logger.info("failed: %s\n%s", error, trace)
            raise RunFailed(kind, f"{kind}: {error}", self._folder.path) from error
        finally:
            self._finish(time.monotonic() - started)
            logging.getLogger().removeHandler(handler)
            handler.close()

    def _run_stages(self, should_stop: Callable[[], bool]) -> None:
        lab, scenario = self._lab, self._scenario
        calendar = lab.calendar
        stages = plan_stages(scenario, calendar)
        log = lab.log
        partitions = len(scenario.arms)
        log.create_topics(dict.fromkeys(self._place.topics, partitions))
        if not scenario.is_replay:
            segments = lab.world.segments()
            self._folder.write_segments({**segments, "arm": [lab.names[i] for i in lab.arm_of_user.tolist()]})
        with RunProgress(calendar.ticks, calendar.days, lab.names, quiet=self._quiet) as progress:
            crew = Crew(self._workers, scenario.model_dump(mode="json", exclude_none=True), self._place)
            try:
                before: Stage | None = None
                for stage in stages:
                    self._run_stage(crew, stage, before, log, progress, should_stop)
                    before = stage
                if scenario.truth.launch and len(stages) > 1 and not scenario.is_replay:
                    self._run_launches(stages, progress, should_stop)
            finally:
                crew.close()
        self._delete_scaffolding(stages)

    def _run_stage(
        self,
        crew: Crew,
        stage: Stage,
        before: Stage | None,
        log: EventLog,
        progress: RunProgress,
        should_stop: Callable[[], bool],
    ) -> None:
        done = self._manifest["stages_done"]
        if stage.name in done:
            return
        logger.info("stage %s: ticks %d to %d", stage.name, stage.first_tick, stage.last_tick)
        progress.next_stage()
        learners = {role.name for role in stage.learning}
        self._needed = {}

        def report(kind: str, told: dict[str, Any]) -> None:
            if kind == "tick":
                if told["serves"]:
                    tick = told["tick"]
                    day, phase = self._lab.calendar.day_of_tick(tick), self._lab.calendar.phase_of_tick(tick)
                    progress.tick(f"{stage.name}.{told.get('source', 0)}", tick, told["exposures"], day, phase)
            elif kind == "day":
                self._folder.add_day(told, self._lab.names)
                progress.day(told)
            elif kind == "saved":
                self._retain(told, learners, log)
            else:
                self._manifest["truth"] += [{"kind": "experiment", **row} for row in told["truth"]]
                self._manifest["learners"] |= told["learners"]
                stages = self._manifest["timings"].setdefault("stages", {})
                spent = stages.setdefault(stage.name, {"wall_s": 0.0, "cpu_s": {}})
                # From when the first process of the stage had loaded what it needs, to when the last was done.
                spent["wall_s"] = max(spent["wall_s"], time.time() - told["began"])
                for part, cpu_s in told["cpu_s"].items():
                    spent["cpu_s"][part] = spent["cpu_s"].get(part, 0.0) + cpu_s

        crew.run(stage, before, spread(stage, crew.size), report, should_stop)
        done.append(stage.name)
        self._folder.write_manifest(self._manifest)

    def _retain(self, saved: dict[str, Any], learners: set[str], log: EventLog) -> None:
        """Let go of events that no learner's restart can need (`log.retention: window`)."""
        if self._scenario.log.retention == "all":
            return
        self._needed[saved["learner"]] = {Partition(t, n): at for t, n, at in saved["needed"]}
        # Counterfactual launches read the window before the fork again, after the end of the run.
        if self._needed.keys() < learners or self._scenario.truth.launch:
            return
        earliest: dict[Partition, int] = {}
        for offsets in self._needed.values():
            for partition, at in offsets.items():
                earliest[partition] = min(at, earliest.get(partition, at))
        # A partition that only some learners read may still be needed by the rest from where they are.
        log.delete_before(earliest)

    def _run_launches(self, stages: list[Stage], progress: RunProgress, should_stop: Callable[[], bool]) -> None:
        """What a launch of each arm would give: everyone on it from the fork on, trained on all of it."""
        fork, ab = stages[0], stages[1]
        for i, arm in enumerate(self._scenario.arms):
            stage_name = f"launch-{arm.name}"
            if stage_name in self._manifest["stages_done"]:
                continue
            folder = self._folder.path / "truth" / arm.name
            shutil.rmtree(folder, ignore_errors=True)
            raw = self._scenario.model_dump(mode="json", exclude_none=True)
            raw["arms"] = [{**raw["arms"][i], "share": 1.0}]
            raw["log"] = {**raw["log"], "url": "embedded", "retention": "window"}
            raw["checkpoint_every_hours"] = 1e6  # a launch that is cut off begins anew
            place = Place(folder, "embedded", arm.name, origin=self._place)
            lab = Lab.from_raw(raw, place)
            lab.log.create_topics(dict.fromkeys(place.topics, 1))
            serving = replace(ab.serving[i], arms=(0,))
            learning = replace(
                ab.learning[i], config_of=0, loss_of=0, updating_of=0, partitions=(0,), counts=(0,), arm=0
            )
            stage = Stage("ab", ab.first_tick, ab.last_tick, (serving,), (learning,))
            progress.next_stage()
            progress.note(f"true uplift: launching {arm.name} for everyone")
            truth: list[dict[str, Any]] = []

            def report(kind: str, told: dict[str, Any], truth: list[dict[str, Any]] = truth, lab: Lab = lab) -> None:
                if kind == "tick":
                    tick = told["tick"]
                    day, phase = lab.calendar.day_of_tick(tick), lab.calendar.phase_of_tick(tick)
                    progress.tick("launch", tick, told["exposures"], day, phase)
                elif kind == "finished":
                    truth += told["truth"]

            crew = Crew(1, raw, place)
            crew.run(stage, fork, [((serving,), (learning,))], report, should_stop)
            self._manifest["truth"] += [{"kind": "launch", **row} for row in truth]
            self._manifest["stages_done"].append(stage_name)
            self._folder.write_manifest(self._manifest)
            shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(self._folder.path / "truth", ignore_errors=True)

    def _delete_scaffolding(self, stages: list[Stage]) -> None:
        """What only a restart needs, of stages that are over. The last stage's checkpoints hold the final models: kept."""
        for stage in stages[:-1]:
            for path in (self._folder.path / "checkpoints").glob(f"{stage.name}.*.ckpt"):
                path.unlink()
        shutil.rmtree(self._folder.path / "snapshots", ignore_errors=True)

    def _finish(self, wall_s: float) -> None:
        manifest = self._manifest
        manifest["timings"]["wall_s"] = round(manifest["timings"]["wall_s"] + wall_s, 3)
        peak_kib = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        manifest["timings"]["peak_rss_mib_of_largest_process"] = round(peak_kib / 1024)
        learners = manifest["learners"]
        by_arm = {told["arm"]: told["digest"] for told in learners.values() if told["arm"] is not None}
        manifest["digests"] = {self._lab.names[arm]: by_arm[arm] for arm in sorted(by_arm)} or {
            name: told["digest"] for name, told in learners.items()
        }
        finished = manifest["status"] == "finished"
        self._folder.write_daily(self._lab.names)  # with days that only their files told of
        self._folder.write_users()
        self._folder.write_monitor(self._lab.names)
        self._folder.write_truth(manifest["truth"])
        if finished:
            manifest["counts"] = self._counts()
        self._folder.write_manifest(manifest)
        if finished:
            self._folder.delete_day_files()

    def _counts(self) -> dict[str, Any]:
        """Records ever appended by topic, from the log, and what each learner counted since the run began."""
        records = {}
        for topic, full_name in zip(TOPICS, self._place.topics, strict=True):
            partitions = self._lab.log.partitions(full_name)
            records[topic] = sum(self._lab.log.end_offsets(partitions).values())
        return {"records": records, "by_learner": {name: t["counts"] for name, t in self._manifest["learners"].items()}}
