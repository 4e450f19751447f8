"""Reading a run folder, and saying clearly what is missing in it. Knows no scenario, no world and no learner."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from reloop_stream.config import as_yaml, read_mapping
from reloop_stream.errors import ConfigError
from simulator.errors import RunFolderError
from simulator.run_folder.columns import (
    BLOCK_COLUMNS,
    BOUND_COLUMNS,
    DAILY_NEEDED,
    ITEMS_COLUMNS,
    MONITOR_COLUMNS,
    OFF_POLICY_COLUMNS,
    RELIABILITY_COLUMNS,
    TOPICS_COLUMNS,
    TRUTH_COLUMNS,
    USERS_COLUMNS,
)
from simulator.run_folder.going_on import blocks_so_far, users_so_far
from simulator.run_folder.manifest import Manifest, read_manifest
from simulator.run_folder.tables import read_csv, read_parquet

__all__ = ["Run", "read_config", "read_run", "run_folders"]


@dataclass(frozen=True)
class Run:
    """What a run left behind. daily: a row a day and arm. users: a row a user and day, of the days that every arm has
    finished; None where there is none yet. truth: a row a kind, day and arm. monitor: a row a learner and tick; None where
    no learner had a monitor. blocks: of a replay, a row a day, arm and block; None where there is none yet. off_policy: a
    row a logged row and arm; None where no policy was judged. segments: a row a user; items: a row an arm, day and item; topics: a row a user, phase and topic;
    reliability: a row an arm, phase and bin of pCTR; bounds: a row a day and policy. All five None where the run kept none.

    config: the resolved scenario. manifest: None of a table of one's own, which no run of this laboratory made; its config
    then holds `name` and `arms` alone. baseline: the arm that the others are compared with; None: the first. has_days: whether
    `day` is one; otherwise it counts phases. shares_are_known: whether anybody said how large the arms should be. notes: on how the table was read."""

    path: Path
    config: dict[str, Any]
    manifest: Manifest | None
    daily: pa.Table
    users: pa.Table | None
    truth: pa.Table
    monitor: pa.Table | None = None
    blocks: pa.Table | None = None
    off_policy: pa.Table | None = None
    segments: pa.Table | None = None
    items: pa.Table | None = None
    topics: pa.Table | None = None
    reliability: pa.Table | None = None
    bounds: pa.Table | None = None
    baseline: str | None = None
    has_days: bool = True
    shares_are_known: bool = True
    notes: tuple[str, ...] = ()

    @property
    def status(self) -> str:
        """running, finished, interrupted or failed. A table of one's own is finished."""
        return "finished" if self.manifest is None else self.manifest.status

    @property
    def config_text(self) -> str:
        """The resolved scenario in YAML."""
        return as_yaml(self.config)

    @property
    def arms(self) -> list[str]:
        return [arm["name"] for arm in self.config["arms"]]

    @property
    def control(self) -> str:
        """The baseline that was asked for; the first arm where none was."""
        return self.arms[0] if self.baseline is None else self.baseline

    @property
    def treatments(self) -> list[str]:
        """The other arms, in their order."""
        return [arm for arm in self.arms if arm != self.control]

    @property
    def is_replay(self) -> bool:
        return self.manifest is not None and self.manifest.kind == "replay"

    @property
    def is_paired(self) -> bool:
        """Whether every arm saw every event."""
        return bool(self.config.get("experiment", {}).get("design") == "paired")


def read_run(path: Path, baseline: str | None = None) -> Run:
    """baseline: the arm to compare the others with; the first where it is None.

    Raises RunFolderError naming the file or column that is missing, or the arms that there are.
    """
    manifest = read_manifest(path)
    daily = path / "daily.parquet"
    if not daily.exists():
        raise RunFolderError(f"{daily}: no such file; the run ended before its first day was complete")
    truth, monitor = path / "truth.csv", path / "monitor.csv"
    off_policy = path / "off_policy.parquet"
    segments, items, topics = (path / f"{name}.parquet" for name in ("segments", "items", "topics"))
    reliability, bounds = path / "reliability.csv", path / "bounds.csv"
    no_truth = pa.table({name: [] for name in TRUTH_COLUMNS})
    config = read_config(path)
    arms = [arm["name"] for arm in config["arms"]]
    run = Run(
        path,
        config,
        manifest,
        read_parquet(daily, DAILY_NEEDED),
        _of_days(users_so_far(path, arms), path / "users.parquet", read_parquet, USERS_COLUMNS),
        read_csv(truth, TRUTH_COLUMNS) if truth.exists() else no_truth,
        read_csv(monitor, MONITOR_COLUMNS) if monitor.exists() else None,
        _of_days(blocks_so_far(path, arms), path / "blocks.csv", read_csv, BLOCK_COLUMNS),
        read_parquet(off_policy, OFF_POLICY_COLUMNS) if off_policy.exists() else None,
        segments=read_parquet(segments, ("user_id",)) if segments.exists() else None,
        items=read_parquet(items, ITEMS_COLUMNS) if items.exists() else None,
        topics=read_parquet(topics, TOPICS_COLUMNS, coded=("arm", "phase")) if topics.exists() else None,
        reliability=read_csv(reliability, RELIABILITY_COLUMNS) if reliability.exists() else None,
        bounds=read_csv(bounds, BOUND_COLUMNS) if bounds.exists() else None,
        baseline=baseline,
    )
    if run.control not in run.arms:
        raise RunFolderError(f"{path}: baseline: got {baseline!r}, the arms are {', '.join(run.arms)}")
    return run


def run_folders(folder: Path) -> list[Path]:
    """The run folders that lie in a folder, by name. Raises RunFolderError where there is no such folder."""
    if not folder.is_dir():
        raise RunFolderError(f"{folder}: no such folder; without --out, runs lie in runs/ where they were started")
    return sorted(path for path in folder.iterdir() if (path / "manifest.json").exists())


def _of_days(
    so_far: pa.Table | None, path: Path, read: Callable[[Path, Sequence[str]], pa.Table], columns: Sequence[str]
) -> pa.Table | None:
    """While a run goes on, the days so far: one that was interrupted before has put older ones together."""
    if so_far is not None:
        return so_far
    return read(path, columns) if path.exists() else None


def read_config(folder: Path) -> dict[str, Any]:
    """The resolved scenario of a run folder. Raises RunFolderError."""
    path = folder / "config.yaml"
    try:
        config = read_mapping(path)
    except ConfigError as error:
        raise RunFolderError(str(error)) from None
    arms = config.get("arms")
    if not isinstance(arms, list) or not all(isinstance(arm, dict) and "name" in arm for arm in arms):
        raise RunFolderError(f"{path}: is no resolved scenario (it has no arms)")
    return config
