"""manifest.json: what a run is, how far it has come, and what it counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec

from reloop_stream.state.files import write_atomic
from simulator.datasets.fingerprint import Fingerprint
from simulator.errors import RunFolderError

__all__ = ["BoundRow", "Counts", "LearnerOutcome", "Manifest", "StageTimings", "Timings", "TruthRow", "read_manifest"]


class TruthRow(msgspec.Struct, frozen=True):
    """What everyone would have clicked on average on a day, had this arm served all. kind: experiment, launch."""

    kind: str
    day: int
    arm: str
    exposures: int
    expected_clicks: float


class BoundRow(msgspec.Struct, frozen=True):
    """What a policy, or an arm with its own users, would have earned on a day on average. auc, logloss: of the world's click
    probabilities as predictions of the labels on what it showed; None where they are not defined."""

    day: int
    policy: str
    exposures: int
    expected_clicks: float
    auc: float | None
    logloss: float | None


class LearnerOutcome(msgspec.Struct, frozen=True):
    """A learner at the end of its last stage. arm: the number of the one it belongs to. digest: of its weights."""

    arm: int | None
    digest: str
    version: int
    counts: dict[str, int]


class StageTimings(msgspec.Struct):
    """wall_s: from when the first process had loaded what it needs to when the last was done. cpu_s: by part of the loop,
    over all processes."""

    wall_s: float = 0.0
    cpu_s: dict[str, float] = {}


class Timings(msgspec.Struct, omit_defaults=True):
    wall_s: float = 0.0
    stages: dict[str, StageTimings] = {}
    peak_rss_mib_of_largest_process: int | None = None


class Counts(msgspec.Struct, frozen=True):
    """records: ever appended, by topic. by_learner: what each counted since the run began."""

    records: dict[str, int]
    by_learner: dict[str, dict[str, int]]


class Manifest(msgspec.Struct, omit_defaults=True):
    """What stands in manifest.json. What a run has only at its end is None before it."""

    scenario: str
    kind: Literal["simulation", "replay"]
    status: Literal["running", "finished", "interrupted", "failed"]
    command: str
    seeds: dict[str, int | str]
    log: str
    prefix: str  # of the run's topics
    git: str | None
    versions: dict[str, str]
    warnings: list[str]
    stages_done: list[str]
    truth: list[TruthRow]
    learners: dict[str, LearnerOutcome]
    timings: Timings
    bounds: list[BoundRow] = []  # where they were asked for
    topics: dict[str, str] = {}  # what a broker knows each of the run's by
    notes: list[str] = []  # on the data that were read: their order, and what was left out
    data: dict[str, Fingerprint] = {}  # of a replay: what each file of its data set held
    workers: int | None = None
    shards: int = 1  # into which each arm's users are cut
    at_once: int = 0  # exposures that may be taken at once; runs of before it was written took each tick by itself
    error: str | None = None
    digests: dict[str, str] | None = None
    counts: Counts | None = None

    def write(self, path: Path) -> None:
        """Raises OSError naming the file; the manifest before is then still there."""
        write_atomic(path, msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n")

    def as_dict(self) -> dict[str, Any]:
        """As it stands in the file."""
        content: dict[str, Any] = msgspec.to_builtins(self)
        return content


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a run folder. Raises RunFolderError where there is none, or it is none."""
    path = folder / "manifest.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except FileNotFoundError:
        raise RunFolderError(f"{folder}: is no run folder (there is no manifest.json in it)") from None
    except OSError as error:
        raise RunFolderError(f"{path}: cannot be read: {error.strerror}") from None
    except msgspec.MsgspecError as error:
        raise RunFolderError(f"{path}: is not valid JSON, or no manifest: {error}") from None
