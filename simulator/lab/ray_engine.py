"""A run on the machines of a Ray cluster: its processes are actors, between which lies a Kafka log and a folder that all see.

An actor is placed where a processor is free. Where one dies, all are begun anew, and go on from the checkpoints in the run folder:
what comes of a run depends on neither.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from reloop_stream.errors import ConfigError
from reloop_stream.runtime.logging import log_to_file
from simulator.experiment.stages import Share, Stage
from simulator.lab.crew import Hand, HandsLost, News
from simulator.lab.place import RunPlace
from simulator.lab.ray_cluster import connected, import_ray
from simulator.lab.reports import Saved
from simulator.scenario import Scenario

__all__ = ["Ray"]

NEWS_WAIT_S = 0.5  # how long an actor lets its asker wait when it has nothing to say
# How often actors may be lost before the next checkpoint: work that kills its process each time is not begun for ever.
MOST_LOSSES = 5


class Ray:
    """An actor for each process, a processor each. Every node has this package, and the files that a scenario names as plugins.

    address: as `connected` takes it. Raises ConfigError where Ray is not installed.
    """

    def __init__(self, address: str = "auto") -> None:
        self._ray = import_ray()
        self._address = address

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """Connected to the cluster. Raises ConfigError where there is none."""
        with connected(self._ray, self._address):
            yield

    def check(self, scenario: Scenario) -> None:
        if scenario.log.url == "embedded":
            raise ConfigError(
                "--engine ray: the embedded log lies in files of one machine; give machines a log between them: --log kafka://HOST:PORT"
            )

    @property
    def cores(self) -> int:
        return max(1, int(self._ray.cluster_resources().get("CPU", 0)))

    def prepare(self, n: int, scenario: Scenario) -> None:
        """Actors load what they need where they are."""

    def hands(self, n: int, scenario: Mapping[str, Any], place: RunPlace) -> RayHands:
        return RayHands(self._ray, n, scenario, replace(place, folder=place.folder.resolve()))


class _Placed(NamedTuple):
    """An actor at work. asked: for its news, which is on its way."""

    actor: Any
    asked: Any


class RayHands:
    """`n` actors, placed anew at the beginning of each attempt at a stage where any was lost."""

    def __init__(self, ray: Any, n: int, scenario: Mapping[str, Any], place: RunPlace) -> None:
        self.size = n
        self._ray = ray
        self._arguments = (dict(scenario), place)
        self._token = place.folder / f".seen-by-all-{uuid.uuid4().hex}"
        self._token.write_text(self._token.name, encoding="utf-8")
        self._actors: list[Any] = []
        self._busy: list[_Placed] = []
        self._losses = 0

    def begin(self, stage: Stage, before: Stage | None, shares: Sequence[Share]) -> int:
        if not self._actors:
            # Three calls at a time: the work, the asking for news, and a wish to stop.
            actor = self._ray.remote(num_cpus=1, max_concurrency=3)(_Actor)
            self._actors = [actor.remote(*self._arguments, self._token) for _ in range(self.size)]
        self._busy = []
        for one, share in zip(self._actors, shares, strict=True):
            if share[0] or share[1]:
                one.work.remote(stage, before, share)
                self._busy.append(_Placed(one, one.news.remote()))
        return len(self._busy)

    def news(self, timeout_s: float) -> list[News]:
        answered, _ = self._ray.wait([placed.asked for placed in self._busy], timeout=timeout_s)
        found: list[News] = []
        for placed in [placed for placed in self._busy if placed.asked in answered]:
            try:
                said = self._ray.get(placed.asked)
            except self._ray.exceptions.RayActorError as error:
                return [*found, *self._lost(error)]
            self._busy.remove(placed)
            if not said or said[-1][0] == "report":
                self._busy.append(placed._replace(asked=placed.actor.news.remote()))
            found += said
        if any(kind == "report" and isinstance(rest[0], Saved) for kind, *rest in found):
            self._losses = 0
        return found

    def _lost(self, error: Exception) -> list[News]:
        self._losses += 1
        self._kill()
        reason = str(error).strip().splitlines()[0]
        if self._losses <= MOST_LOSSES:
            raise HandsLost(f"a process on the cluster is gone ({reason})")
        message = f"processes on the cluster were lost {self._losses} times without a checkpoint between ({reason}; out of memory?)"
        return [("failed", "killed", message)] * len(self._busy)

    def stop(self) -> None:
        for placed in self._busy:
            placed.actor.stop.remote()

    def close(self, patience_s: float) -> None:
        self._kill()
        self._token.unlink(missing_ok=True)

    def _kill(self) -> None:
        for actor in self._actors:
            self._ray.kill(actor)
        self._actors = []


class _Actor:
    """A process of a run, on whatever node. token: a file that is there where the run folder is the same for all."""

    def __init__(self, scenario: Mapping[str, Any], place: RunPlace, token: Any) -> None:
        self._hand = Hand(scenario, place)
        self._place = place
        self._token = token
        self._stop = threading.Event()
        self._said: list[News] = []
        self._has_said = threading.Condition()

    def _say(self, *news: Any) -> None:
        with self._has_said:
            self._said.append(news)
            self._has_said.notify()

    def work(self, stage: Stage, before: Stage | None, share: Share) -> None:
        """Do a share of a stage; `news` tells of it."""
        if not self._sees_the_folder():
            where = f"{socket.gethostname()} does not see the run folder {self._place.folder}"
            remedy = (
                "put it where every node of the cluster has the same files under the same path (NFS, say), with --out"
            )
            self._say("failed", "RunFolderError", f"{where}; {remedy}", "", True)
            return
        with log_to_file(self._place.folder / "log.txt"):
            self._say(*self._hand.work(stage, before, share, lambda told: self._say("report", told), self._stop.is_set))

    def _sees_the_folder(self) -> bool:
        try:
            return bool(self._token.read_text(encoding="utf-8") == self._token.name)
        except OSError:
            return False

    def news(self) -> list[News]:
        """What was said since the last time; after a moment, nothing."""
        with self._has_said:
            self._has_said.wait_for(lambda: self._said, NEWS_WAIT_S)
            said, self._said = self._said, []
        return said

    def stop(self) -> None:
        """Save what was done, and stop."""
        self._stop.set()
