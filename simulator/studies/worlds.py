"""One scenario in many worlds: seeds, and the scenario as a mapping that a cell can be made of anywhere."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from reloop_stream.config import MOST_SEED
from simulator.errors import ScenarioError
from simulator.scenario import Scenario

__all__ = ["RARELY_H", "as_mapping", "in_world", "require_world", "scratch", "seeds_from"]

RARELY_H = 1e6  # what is cut off begins anew, so nothing need be saved on the way
MEMORY = Path("/dev/shm")  # a file system in memory (Linux)
# Small enough for memory: a world that expects fewer exposures leaves less than 100 MB behind while it runs. On a disk half of the
# time of a very small one goes into making and deleting files.
SMALL = 1_000_000
ROOM = 4 << 30  # bytes: for as many worlds as there are processes


def require_world(scenario: Scenario) -> None:
    """Raises ScenarioError for a replay: there is one world of it."""
    if scenario.is_replay:
        raise ScenarioError(
            f"{scenario.name}: a replayed data set has one world and no truth; a study needs a simulated one"
        )


def as_mapping(scenario: Scenario) -> dict[str, Any]:
    """For `parse_scenario`; equal for equal scenarios, whatever their files left out."""
    raw: dict[str, Any] = scenario.model_dump(mode="json", exclude_none=True)
    del raw["learner"]  # every arm has all of it
    return raw


def in_world(raw: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """The same scenario with this seed, of the world and of the models."""
    return {**raw, "seed": {**raw["seed"], "world": seed, "model": seed}}


def seeds_from(first: int, n: int) -> range:
    """The seeds of a study. Raises ScenarioError."""
    if first < 0 or first + n - 1 > MOST_SEED:
        raise ScenarioError(f"--first-seed: got {first}, {n} seeds from there must lie within 0 and {MOST_SEED}")
    return range(first, first + n)


@contextlib.contextmanager
def scratch(scenario: Scenario) -> Iterator[Path]:
    """A folder for a world's files while it runs, gone afterwards: in memory where the world is small, else where TMPDIR says."""
    expected = scenario.days * scenario.serving.slate
    if scenario.world is not None:
        users = scenario.world.users
        expected = round(expected * users.n * users.requests_per_day)
    has_room = os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM
    where = MEMORY if expected < SMALL and has_room else None
    with tempfile.TemporaryDirectory(prefix="reloop-world-", dir=where, ignore_cleanup_errors=True) as path:
        yield Path(path) / "world"
