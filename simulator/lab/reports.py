"""What a process of a run tells the one that started it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from reloop_stream.log import Partition
from simulator.run_folder.manifest import LearnerOutcome
from simulator.serving.exact_sums import BoundSum, TruthSum

__all__ = ["DayClosed", "Report", "Saved", "ServerSaved", "StageFinished", "TickServed", "Told"]


@dataclass(frozen=True, slots=True)
class TickServed:
    """These servers have served up to a tick. exposures: written by them since this process began."""

    servers: tuple[str, ...]
    tick: int
    exposures: int


@dataclass(frozen=True, slots=True)
class DayClosed:
    """All labels of an arm's day are known. row: as in daily.csv."""

    row: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Saved:
    """A learner has been checkpointed. needed: where its restart from there would begin to read."""

    learner: str
    needed: Mapping[Partition, int]


@dataclass(frozen=True, slots=True)
class ServerSaved:
    """A server has been checkpointed. needed: the tick of the oldest of its learner's versions that its restart from there
    could ask for."""

    server: str
    learner: str
    needed: int


@dataclass(frozen=True, slots=True)
class StageFinished:
    """A process has done its share of a stage. roles: its servers' names and its learners'. truth, bounds: of its servers. cpu_s: by part of the loop. began: when it had loaded what it needs, in
    seconds since 1970."""

    roles: tuple[str, ...]
    truth: tuple[TruthSum, ...]
    bounds: tuple[BoundSum, ...]
    learners: Mapping[str, LearnerOutcome]
    cpu_s: Mapping[str, float]
    began: float


Told: TypeAlias = TickServed | DayClosed | Saved | ServerSaved | StageFinished
Report: TypeAlias = Callable[[Told], None]
