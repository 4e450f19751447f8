"""Where a run lives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reloop_stream.log import EventLog, open_log
from reloop_stream.log.topics import Topics
from simulator.scenario import Scenario

__all__ = ["Place", "Report"]

# What a process tells: ("day", row), ("tick", {...}), ("saved", {...}) or ("finished", {...}).
Report = Callable[[str, dict[str, Any]], None]


@dataclass(frozen=True)
class Place:
    """Where a run lives. With `origin` it is a counterfactual that forks from the A/A period of another run."""

    folder: Path
    log_url: str
    prefix: str
    origin: Place | None = None

    @property
    def topics(self) -> Topics:
        return Topics.of(self.prefix)

    def open(self, scenario: Scenario) -> EventLog:
        if self.log_url == "embedded":
            return open_log(self.folder / "events")
        settings = scenario.log
        return open_log(self.log_url, unavailable_after_s=settings.unavailable_after_s, settings=settings.kafka)

    def checkpoint(self, stage: str, kind: str, name: str) -> Path:
        return self.folder / "checkpoints" / f"{stage}.{kind}.{name}.ckpt"
