"""The processes of a run: each with a lab of its own, told what to do over a pipe, gone when the loop is gone."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any, cast

from reloop_stream.errors import ReloopError
from reloop_stream.runtime.logging import log_to_file, log_to_stderr
from reloop_stream.runtime.processes import Child
from simulator.errors import MISTAKES
from simulator.experiment.stages import Learning, Serving, Stage
from simulator.lab.loop import Stopped, run_stage
from simulator.lab.parts import Lab
from simulator.lab.place import RunPlace
from simulator.lab.reports import Report

__all__ = ["Crew", "CrewError", "Share"]

# One stage's work for one process.
Share = tuple[tuple[Serving, ...], tuple[Learning, ...]]

WAIT_S = 0.1  # how soon a stop request is passed on
STOP_PATIENCE_S = 60.0  # how long processes may take to save themselves when asked to stop
END_PATIENCE_S = 5.0


class CrewError(ReloopError):
    """A process of the run failed. kind: the name of what it raised, "killed" when it died without a word."""

    def __init__(self, kind: str, message: str, trace: str = "", is_mistake: bool = False) -> None:
        super().__init__(message)
        self.kind = kind
        self.trace = trace
        self.is_mistake = is_mistake


class Crew:
    """`n` processes that live through all stages of a run; with one, the work is done in this process instead."""

    def __init__(self, n: int, scenario: Mapping[str, Any], place: RunPlace) -> None:
        self._lab: Lab | None = Lab.from_raw(scenario, place) if n == 1 else None
        several = range(n if n > 1 else 0)
        self._children = [Child(_live, (dict(scenario), place), f"lab-{number}") for number in several]

    @property
    def size(self) -> int:
        return max(1, len(self._children))

    def run(
        self,
        stage: Stage,
        before: Stage | None,
        shares: Sequence[Share],
        report: Report,
        should_stop: Callable[[], bool],
    ) -> None:
        """Run a stage to its end. Raises Stopped when asked to stop and all is saved, CrewError when a process failed."""
        if self._lab is not None:
            serving, learning = shares[0]
            run_stage(self._lab, stage, before, serving, learning, report, should_stop)
            return
        busy: dict[Connection, Child] = {}
        for child, share in zip(self._children, shares, strict=True):
            if share[0] or share[1]:
                child.send("run", stage, before, share)
                busy[child.pipe] = child
        failure: CrewError | None = None
        stopping_since: float | None = None
        was_stopped = False
        while busy:
            if stopping_since is None and (should_stop() or failure is not None):
                stopping_since = time.monotonic()
                for child in busy.values():
                    with contextlib.suppress(OSError):
                        child.send("stop")
            for ready in cast(list[Connection], wait(list(busy), WAIT_S)):
                try:
                    kind, *rest = ready.recv()
                except (EOFError, OSError):
                    how = busy.pop(ready).how_it_died()
                    failure = failure or CrewError("killed", f"a process of the run died ({how})")
                    continue
                if kind == "report":
                    report(*rest)
                else:
                    busy.pop(ready)
                    was_stopped |= kind == "stopped"
                    if kind == "failed":
                        failure = failure or CrewError(*rest)
            if stopping_since is not None and time.monotonic() - stopping_since > STOP_PATIENCE_S:
                failure = failure or CrewError("killed", f"processes did not stop within {STOP_PATIENCE_S:g} s")
                break
        if failure is not None:
            raise failure
        if was_stopped:
            raise Stopped

    def close(self, patience_s: float = END_PATIENCE_S) -> None:
        """End the processes, by force those that take longer. Whatever they are writing is there whole, or not at all."""
        for child in self._children:
            child.end("end", patience_s=patience_s)
        if self._lab is not None:
            self._lab.close()


def _live(pipe: Connection, scenario: dict[str, Any], place: RunPlace) -> None:
    """A process's life: run stages as they are sent, until told to end or the parent is gone."""
    with log_to_stderr(), log_to_file(place.folder / "log.txt"):
        _work(pipe, scenario, place)


def _work(pipe: Connection, scenario: dict[str, Any], place: RunPlace) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    stop = threading.Event()
    inbox: list[tuple[Any, ...]] = []
    arrived = threading.Condition()

    def listen() -> None:
        while True:
            try:
                message = pipe.recv()
            except (EOFError, OSError):
                os._exit(1)
            if message[0] == "stop":
                stop.set()
            else:
                with arrived:
                    inbox.append(message)
                    arrived.notify()

    threading.Thread(target=listen, daemon=True).start()
    sending = threading.Lock()

    def send(*message: Any) -> None:
        with sending:
            pipe.send(message)

    lab: Lab | None = None
    while True:
        with arrived:
            while not inbox:
                arrived.wait()
            message = inbox.pop(0)
        if message[0] == "end":
            return
        _, stage, before, share = message
        try:
            lab = lab or Lab.from_raw(scenario, place)
            serving, learning = share
            run_stage(lab, stage, before, serving, learning, lambda told: send("report", told), stop.is_set)
            send("done")
        except Stopped:
            send("stopped")
        except BaseException as error:  # whatever it was, the parent tells the user
            send("failed", type(error).__name__, str(error), traceback.format_exc(), isinstance(error, MISTAKES))
