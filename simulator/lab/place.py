"""Where a run lives: its folder, its log, and the prefix of its topics."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reloop_stream.log import EventLog, open_log
from reloop_stream.log.topics import Topics
from simulator.scenario import LogConfig

__all__ = ["RunPlace"]


@dataclass(frozen=True)
class RunPlace:
    """With `origin` it is a counterfactual that forks from the A/A period of another run."""

    folder: Path
    log_url: str
    prefix: str
    origin: RunPlace | None = None

    @property
    def topics(self) -> Topics:
        return Topics.of(self.prefix)

    def open(self, settings: LogConfig) -> EventLog:
        if self.log_url == "embedded":
            return open_log(self.folder / "events")
        return open_log(self.log_url, unavailable_after_s=settings.unavailable_after_s, settings=settings.kafka)

    def checkpoint(self, stage: str, kind: str, name: str) -> Path:
        return self.folder / "checkpoints" / f"{stage}.{kind}.{name}.ckpt"
