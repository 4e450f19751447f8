"""The day loop of one process: its servers serve a tick, its learners work through it, and now and then all is saved.

The story of the data in one place: `run_stage` moves the parts that a `Lab` builds, tick by tick.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from reloop_stream.clock import HOUR_MS, crosses
from reloop_stream.learners import digest
from reloop_stream.runtime.loading import loading, sparing
from reloop_stream.runtime.torch_state import one_thread
from reloop_stream.serving.snapshot import Published
from reloop_stream.state.checkpoint import Sections, read_checkpoint
from reloop_stream.state.checkpoint_writer import CheckpointWriter
from reloop_stream.stream.event_feed import FeedStopped
from reloop_stream.worker import Worker
from simulator.experiment.stages import Learning, Serving, Stage
from simulator.lab.parts import Lab
from simulator.lab.reports import Report, Saved, ServerSaved, StageFinished, TickServed
from simulator.run_folder.manifest import LearnerOutcome
from simulator.serving.server import Server

__all__ = ["Stopped", "run_stage"]

REPORT_EVERY_S = 0.2  # wall clock between two progress reports of a process
# Wall clock between two checkpoints of a process. A kill costs so much work at most beyond what is due; a save takes about a
# hundredth of it.
SAVE_EVERY_S = 5.0


class Stopped(Exception):
    """The loop was asked to stop; everything done so far is saved."""


def run_stage(
    lab: Lab,
    stage: Stage,
    before: Stage | None,
    serving: tuple[Serving, ...],
    learning: tuple[Learning, ...],
    report: Report,
    should_stop: Callable[[], bool] = lambda: False,
) -> None:
    """Run this process's share of a stage to its last tick. Raises Stopped after saving, LogUnavailable."""
    here = {role.name for role in learning}
    with contextlib.ExitStack() as ending:  # all are closed, also where one of them cannot be
        with loading():
            if any(arm.learner.kind == "torch" for arm in lab.scenario.arms):
                ending.enter_context(one_thread())
            servers = [(role, lab.make_server(role, stage, role.learner not in here, should_stop)) for role in serving]
            if should_stop():  # a large world takes seconds to make, and so does what learns
                raise Stopped
            workers = [(role, lab.make_worker(role, report, should_stop)) for role in learning]
        for role, worker in workers:
            local = [server for serving, server in servers if serving.learner == role.name]
            worker.is_waited_for = len(local) < sum(serving.learner == role.name for serving in stage.serving)
            worker.on_publish = _hand_over(lab, local, worker.is_waited_for)
        loop = _Loop(lab, stage, servers, workers, report)
        for close in (*(worker.close for _, worker in workers), *(server.close for _, server in servers), loop.close):
            ending.callback(close)
        try:
            loop.restore(before)
            try:
                with sparing():
                    loop.run(should_stop)
            except FeedStopped:
                loop.save()
                raise
        except FeedStopped:
            raise Stopped from None


def _hand_over(lab: Lab, local: list[Server], is_served_elsewhere: bool) -> Callable[[Published], None]:
    """What becomes of a version: offered to servers in this process at once, written to a file for those in others."""

    def hand_over(published: Published) -> None:
        for server in local:
            server.deployments.offer(published)
        if is_served_elsewhere:
            lab.version_files.write(published)

    return hand_over


class _Loop:
    """One process's servers and workers in a stage, moved tick by tick."""

    def __init__(
        self,
        lab: Lab,
        stage: Stage,
        servers: list[tuple[Serving, Server]],
        workers: list[tuple[Learning, Worker]],
        report: Report,
    ) -> None:
        self._lab = lab
        self._stage = stage
        self._servers = servers
        self._workers = workers
        self._report = report
        self._reported_at = 0.0
        self._writer = CheckpointWriter()
        self._saved_at = float("-inf")
        self._began = time.time()
        self._cpu_s = {"serve": 0.0, "learn": 0.0, "save": 0.0}

    def _timed(self, part: str, action: Callable[[], None]) -> None:
        started = time.process_time()
        action()
        self._cpu_s[part] += time.process_time() - started

    def restore(self, before: Stage | None) -> None:
        """Go on from this stage's checkpoints; where there is none, fork from the end of the stage before."""
        lab, stage = self._lab, self._stage
        origin = lab.place.origin or lab.place
        for role, server in self._servers:
            saved = read_checkpoint(lab.place.checkpoint(stage.name, "server", role.name))
            if saved is not None:
                server.restore(saved, lab.thaw)
                server.deployments.catch_up()
            elif before is not None and role.fork_of:
                served = [self._fork(origin.checkpoint(before.name, "server", name)) for name in role.fork_of]
                server.fork(served, lab.thaw, is_elsewhere=lab.place.origin is not None)
        for learning, worker in self._workers:
            saved = read_checkpoint(lab.place.checkpoint(stage.name, "worker", learning.name))
            if saved is not None:
                worker.restore(saved)
            elif before is not None and learning.fork_of is not None:
                forked = self._fork(origin.checkpoint(before.name, "worker", learning.fork_of))
                if lab.place.origin is None:
                    worker.restore(
                        forked, beside=self._others(before, learning), observed=self._counted(before, learning)
                    )
                else:
                    worker.restore(forked, past_log=origin.open(lab.scenario.log), past_topics=origin.topics)

    def _others(self, before: Stage, learning: Learning) -> list[Sections]:
        """Checkpoints of learners of the stage before that read what the one to fork from did not (`aa: own`)."""
        read = next(role.partitions for role in before.learning if role.name == learning.fork_of)
        others = [role for role in before.learning if not {*role.partitions} <= {*read}]
        if {*learning.partitions} <= {*read}:
            return []
        return [self._fork(self._lab.place.checkpoint(before.name, "worker", role.name)) for role in others]

    def _counted(self, before: Stage, learning: Learning) -> Sections:
        """The checkpoint that holds the learner's arms' open days: its origin's, or, of a shadow, that of who counted."""
        counting = next(role.name for role in before.learning if {*learning.counts} <= {*role.counts})
        return self._fork(self._lab.place.checkpoint(before.name, "worker", counting))

    @staticmethod
    def _fork(path: Path) -> Sections:
        sections = read_checkpoint(path)
        if sections is None:
            raise FileNotFoundError(f"{path}: the checkpoint to fork from is gone; start a new run")
        return sections

    def run(self, should_stop: Callable[[], bool]) -> None:
        self._began = time.time()
        stage, calendar = self._stage, self._lab.calendar
        lag = self._lab.lag if self._servers else 0
        every_ms = round(self._lab.scenario.checkpoint_every_hours * HOUR_MS)
        at = [server.tick for _, server in self._servers] + [worker.tick + lag for _, worker in self._workers]
        for tick in range(max(stage.first_tick, min(at) + 1), stage.last_tick + 1):
            if should_stop():
                raise FeedStopped
            for _, server in self._servers:
                if server.tick < tick:
                    self._timed("serve", partial(server.serve, tick))
            for _, worker in self._workers:
                self._timed("learn", partial(worker.advance, tick - lag))
            self._timed("save", self._writer.settle)
            is_due = crosses(int(calendar.bounds_ms[tick]), int(calendar.bounds_ms[tick + 1]), every_ms)
            if is_due and time.monotonic() - self._saved_at >= SAVE_EVERY_S:
                self._timed("save", self._begin_save)
            self._tell(tick)
        for _, worker in self._workers:
            self._timed("learn", partial(worker.advance, stage.last_tick))
        for _, server in self._servers:
            server.deployments.collect(stage.last_tick)
        self._timed("save", self.save)
        self._tell(stage.last_tick, last=True)
        self._finish()

    def save(self) -> None:
        """Checkpoint every role, and wait until that is durable."""
        self._begin_save()
        self._writer.wait()

    def _begin_save(self) -> None:
        """Checkpoint every role as it is now. Servers first: a version that a worker will not publish again must be in theirs.

        A worker that was stopped in the middle of a training keeps its last checkpoint, from which it goes on.
        """
        place, stage = self._lab.place, self._stage.name
        told: list[Saved | ServerSaved] = []
        files = []
        offsets = {}
        for role, server in self._servers:
            files.append((place.checkpoint(stage, "server", role.name), server.checkpoint()))
            told.append(ServerSaved(role.name, role.learner, server.deployments.needed_after(server.tick)))
        for learning, worker in self._workers:
            if not worker.is_whole:
                continue
            worker.flush()
            self._lab.recorder.write_readings(learning.name)
            files.append((place.checkpoint(stage, "worker", learning.name), worker.checkpoint()))
            told.append(Saved(learning.name, worker.needed_offsets()))
            offsets[f"{place.prefix}.{learning.name}"] = worker.next_offsets

        def saved() -> None:
            for group, at in offsets.items():
                self._lab.log.commit(group, at)
            for one in told:
                self._report(one)

        self._writer.write(files, saved)
        self._saved_at = time.monotonic()

    def close(self) -> None:
        self._writer.close()

    def _tell(self, tick: int, last: bool = False) -> None:
        now = time.monotonic()
        if now - self._reported_at < REPORT_EVERY_S and not last:
            return
        self._reported_at = now
        if self._servers:
            shown = sum(server.exposures for _, server in self._servers)
            self._report(TickServed(tuple(role.name for role, _ in self._servers), tick, shown))

    def _finish(self) -> None:
        truth = [one for _, server in self._servers for one in server.truth_sums()]
        bounds = [one for _, server in self._servers for one in server.bound_sums()]
        learners = {}
        for learning, worker in self._workers:
            learner = worker.updater.learner
            counts = worker.counts.as_dict() | {"dead": worker.dead}
            learners[learning.name] = LearnerOutcome(learning.arm, digest(learner.to_bytes()), learner.version, counts)
        roles = *(role.name for role, _ in self._servers), *(role.name for role, _ in self._workers)
        self._report(StageFinished(roles, tuple(truth), tuple(bounds), learners, self._cpu_s, self._began))
