"""Where the processes of a run are: on this machine, or (`simulator/lab/ray_engine.py`) on those of a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from reloop_stream.runtime.processes import cores, load_ahead
from simulator.lab.crew import Hands, LocalHands
from simulator.lab.place import RunPlace
from simulator.scenario import Scenario

__all__ = ["Engine", "ThisMachine"]

# What the processes of a run load, and what those load where a learner is torch's.
LOADED = "simulator.lab.ahead"
TORCH = "reloop_stream.learners.torch_learner"


class Engine(Protocol):
    """Who does the work of a run."""

    def check(self, scenario: Scenario) -> None:
        """Raise ConfigError where this scenario cannot be run here, before there is a run folder."""

    @property
    def cores(self) -> int:
        """Processors that there are for the run."""

    def prepare(self, n: int, scenario: Scenario) -> None:
        """Begin with what does not need the run folder, while this process makes it; `hands` will be asked for `n` processes."""

    def hands(self, n: int, scenario: Mapping[str, Any], place: RunPlace) -> Hands | None:
        """`n` processes for a run; None where this process is to do it all."""


class ThisMachine:
    """Processes of this machine; one is this process itself."""

    def check(self, scenario: Scenario) -> None:
        """It runs every scenario."""

    @property
    def cores(self) -> int:
        return cores()

    def prepare(self, n: int, scenario: Scenario) -> None:
        if n > 1:
            is_torch = any(arm.learner.kind == "torch" for arm in scenario.arms)
            load_ahead([LOADED, TORCH] if is_torch else [LOADED])

    def hands(self, n: int, scenario: Mapping[str, Any], place: RunPlace) -> Hands | None:
        return LocalHands(n, scenario, place) if n > 1 else None
