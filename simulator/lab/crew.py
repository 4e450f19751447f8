"""The processes of a run: each with a lab of its own, told what to do, gone when the run is gone."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol, cast

from reloop_stream.errors import ReloopError
from reloop_stream.runtime.loading import loading
from reloop_stream.runtime.logging import log_to_file, log_to_stderr
from reloop_stream.runtime.processes import Child
from simulator.errors import MISTAKES
from simulator.experiment.stages import Share, Stage
from simulator.lab.loop import Stopped, run_stage
from simulator.lab.parts import Lab
from simulator.lab.place import RunPlace
from simulator.lab.reports import Report

__all__ = ["Crew", "CrewError", "Hand", "Hands", "HandsLost", "LocalHands", "News"]

logger = logging.getLogger(__name__)

WAIT_S = 0.1  # how soon a stop request is passed on
STOP_PATIENCE_S = 60.0  # how long processes may take to save themselves when asked to stop
END_PATIENCE_S = 5.0

# What a process says: ("report", told), and at the end of its share one of ("done",), ("stopped",),
# ("failed", kind, message, trace, is_mistake).
News = tuple[Any, ...]


class CrewError(ReloopError):
    """A process of the run failed. kind: the name of what it raised, "killed" when it died without a word."""

    def __init__(self, kind: str, message: str, trace: str = "", is_mistake: bool = False) -> None:
        super().__init__(message)
        self.kind = kind
        self.trace = trace
        self.is_mistake = is_mistake


class HandsLost(Exception):
    """Processes died with their machine, and the stage can be begun again by others."""


class Hands(Protocol):
    """Processes that work side by side, each on its share of a stage: of this machine, or of a cluster."""

    @property
    def size(self) -> int: ...

    def begin(self, stage: Stage, before: Stage | None, shares: Sequence[Share]) -> int:
        """Set each process to its share, and give how many have one. Those whose checkpoints are there go on from them."""

    def news(self, timeout_s: float) -> list[News]:
        """What they have said since; waits for it for a while. Raises HandsLost."""

    def stop(self) -> None:
        """Ask those that work to save themselves and stop."""

    def close(self, patience_s: float) -> None:
        """End them, by force those that take longer."""


class Crew:
    """Does a run's stages, one after the other: `hands` do the work, or where there are none, this process does in `lab`."""

    def __init__(self, lab: Lab, hands: Hands | None = None) -> None:
        self._lab = lab
        self._hands = hands

    @property
    def size(self) -> int:
        return 1 if self._hands is None else self._hands.size

    def run(
        self,
        stage: Stage,
        before: Stage | None,
        shares: Sequence[Share],
        report: Report,
        should_stop: Callable[[], bool],
    ) -> None:
        """Run a stage to its end. Raises Stopped when asked to stop and all is saved, CrewError when a process failed."""
        if self._hands is None:
            serving, learning = shares[0]
            run_stage(self._lab, stage, before, serving, learning, report, should_stop)
            return
        while True:
            try:
                _watch(self._hands, self._hands.begin(stage, before, shares), report, should_stop)
                return
            except HandsLost as lost:
                logger.warning("%s; the stage goes on from its checkpoints", lost)

    def close(self, patience_s: float = END_PATIENCE_S) -> None:
        """End the processes, by force those that take longer. Whatever they are writing is there whole, or not at all."""
        if self._hands is not None:
            self._hands.close(patience_s)


def _watch(hands: Hands, busy: int, report: Report, should_stop: Callable[[], bool]) -> None:
    """Pass on what `busy` processes say until all have ended their shares, and a wish to stop."""
    failure: CrewError | None = None
    stopping_since: float | None = None
    was_stopped = False
    while busy:
        if stopping_since is None and (should_stop() or failure is not None):
            stopping_since = time.monotonic()
            hands.stop()
        for kind, *rest in hands.news(WAIT_S):
            if kind == "report":
                report(*rest)
                continue
            busy -= 1
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


class Hand:
    """What a process of a run does, wherever it is: its shares, with a lab of its own."""

    def __init__(self, scenario: Mapping[str, Any], place: RunPlace) -> None:
        self._scenario = scenario
        self._place = place
        self._lab: Lab | None = None

    def get_ready(self) -> None:
        """Make what every share needs, before there is one. What goes wrong is told when there is."""
        with contextlib.suppress(Exception):
            self._lab = Lab.from_raw(self._scenario, self._place)
            _ = self._lab.feed.items

    def work(
        self, stage: Stage, before: Stage | None, share: Share, report: Report, should_stop: Callable[[], bool]
    ) -> News:
        """Do a share of a stage; how that ended."""
        try:
            self._lab = self._lab or Lab.from_raw(self._scenario, self._place)
            run_stage(self._lab, stage, before, *share, report, should_stop)
        except Stopped:
            return ("stopped",)
        except BaseException as error:  # whatever it was, who began the run tells the user
            return ("failed", type(error).__name__, str(error), traceback.format_exc(), isinstance(error, MISTAKES))
        return ("done",)


class LocalHands:
    """`n` processes of this machine, that live through all stages of a run."""

    def __init__(self, n: int, scenario: Mapping[str, Any], place: RunPlace) -> None:
        self._children = [Child(_live, (dict(scenario), place), f"lab-{number}") for number in range(n)]
        self._busy: dict[Connection, Child] = {}

    @property
    def size(self) -> int:
        return len(self._children)

    def begin(self, stage: Stage, before: Stage | None, shares: Sequence[Share]) -> int:
        self._busy = {}
        for child, share in zip(self._children, shares, strict=True):
            if share[0] or share[1]:
                child.send("run", stage, before, share)
                self._busy[child.pipe] = child
        return len(self._busy)

    def news(self, timeout_s: float) -> list[News]:
        found: list[News] = []
        for ready in cast(list[Connection], wait(list(self._busy), timeout_s)):
            try:
                news = ready.recv()
            except (EOFError, OSError):
                how = self._busy[ready].how_it_died()
                news = ("failed", "killed", f"a process of the run died ({how})")
            if news[0] != "report":
                del self._busy[ready]
            found.append(news)
        return found

    def stop(self) -> None:
        for child in self._busy.values():
            with contextlib.suppress(OSError):
                child.send("stop")

    def close(self, patience_s: float) -> None:
        for child in self._children:
            child.end("end", patience_s=patience_s)


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

    hand = Hand(scenario, place)
    with loading():
        hand.get_ready()
    while True:
        with arrived:
            while not inbox:
                arrived.wait()
            message = inbox.pop(0)
        if message[0] == "end":
            return
        _, stage, before, share = message
        send(*hand.work(stage, before, share, lambda told: send("report", told), stop.is_set))
