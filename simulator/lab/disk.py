"""How much disk the events of a run take, told before it begins."""

from __future__ import annotations

import shutil
from pathlib import Path

from reloop_stream.config import FineTuneConfig, LearnerConfig, WindowConfig
from simulator.errors import RunFolderError
from simulator.scenario import Scenario

__all__ = ["check_disk", "event_bytes"]

# Of an exposure with its clicks and their share of heads and marks, as measured on newsfeed.yaml.
BYTES_OF_EXPOSURE = {"arrow": 95, "json": 520}
# An estimate that is so much too high or too low misleads nobody.
SLACK = 1.25


def event_bytes(scenario: Scenario, exposures: int) -> int:
    """Bytes that the embedded log of a run holds at most, where it writes so many exposures."""
    days = sum(scenario.phases.days.values())
    window = max(_window_days(arm.learner) for arm in scenario.arms)
    # Events go once they are behind the window of a checkpoint that was taken later.
    held = min(days, window + (scenario.join.attribution_hours + 2 * scenario.checkpoint_every_hours) / 24)
    if scenario.truth.launch:  # a launch has a log of its own, of everyone, and reads the run's
        held += days
    kept = held if scenario.log.retention == "window" else max(held, days)
    return round(BYTES_OF_EXPOSURE[scenario.log.encoding] * exposures * kept / days)


def _window_days(learner: LearnerConfig) -> float:
    updating = learner.updating
    if isinstance(updating, FineTuneConfig):
        return 2 * updating.every_hours / 24
    return updating.days if isinstance(updating, WindowConfig) else 0.0


def check_disk(scenario: Scenario, exposures: int | None, path: Path) -> list[str]:
    """What to say of the room for a run in this folder, which need not be there yet. Raises RunFolderError where there is
    plainly too little. exposures: that it will write; None where nobody knows."""
    if scenario.log.url != "embedded" or exposures is None:
        return []
    there = next(folder for folder in path.resolve().parents if folder.exists())
    needed, free = event_bytes(scenario, exposures), shutil.disk_usage(there).free
    if free > SLACK * needed:
        return []
    said = f"the events of this run take about {needed / 1e9:.1f} GB, and {there} has {free / 1e9:.1f} GB free"
    if SLACK * free < needed:
        raise RunFolderError(f"--out: {said}; choose another disk, fewer users or days, or `log.retention: window`")
    return [said]
