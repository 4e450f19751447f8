"""Reading a run folder, and saying clearly what is missing in it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import yaml

__all__ = ["ReadoutError", "Run", "read_run"]

DAILY = (
    "day",
    "phase",
    "arm",
    "users",
    "requests",
    "exposures",
    "clicks",
    "ctr",
    "auc",
    "logloss",
    "ne",
    "calibration",
)
USERS = ("user_id", "arm", "day", "phase", "exposures", "clicks")
MONITOR = ("learner", "arm", "tick", "day", "time", "auc", "logloss", "calibration", "estimate", "alarm", "rate")


class ReadoutError(ValueError):
    """A run folder that cannot be read out. The message names the file and what is missing in it."""


@dataclass(frozen=True)
class Run:
    """What a run left behind. daily: a row a day and arm. users: a row a user and day; None where there is none yet.
    monitor: a row a learner and tick; None where no learner had a monitor."""

    path: Path
    config: dict[str, Any]
    manifest: dict[str, Any]
    daily: pa.Table
    users: pa.Table | None
    truth: list[dict[str, Any]]
    monitor: pa.Table | None = None

    @property
    def arms(self) -> list[str]:
        return [arm["name"] for arm in self.config["arms"]]

    @property
    def control(self) -> str:
        return self.arms[0]

    @property
    def treatments(self) -> list[str]:
        return self.arms[1:]

    @property
    def is_replay(self) -> bool:
        return bool(self.manifest.get("kind") == "replay")


def read_run(path: Path) -> Run:
    """Raises ReadoutError naming the file or column that is missing."""
    config = yaml.safe_load(_text(path / "config.yaml"))
    try:
        manifest = json.loads(_text(path / "manifest.json"))
    except ValueError as error:
        raise ReadoutError(f"{path / 'manifest.json'}: is not valid JSON: {error}") from None
    daily_path, users_path, truth_path = path / "daily.parquet", path / "users.parquet", path / "truth.csv"
    if not daily_path.exists():
        raise ReadoutError(f"{daily_path}: no such file; the run ended before its first day was complete")
    daily = _with_columns(daily_path, pq.read_table(daily_path), DAILY)
    users = _with_columns(users_path, pq.read_table(users_path), USERS) if users_path.exists() else None
    truth = pyarrow.csv.read_csv(truth_path).to_pylist() if truth_path.exists() else []
    monitor_path = path / "monitor.csv"
    monitor = _with_columns(monitor_path, _read_monitor(monitor_path), MONITOR) if monitor_path.exists() else None
    return Run(path, config, manifest, daily, users, truth, monitor)


def _read_monitor(path: Path) -> pa.Table:
    names = {"learner": pa.string(), "arm": pa.string()}  # an arm may be named 1
    return pyarrow.csv.read_csv(path, convert_options=pyarrow.csv.ConvertOptions(column_types=names))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ReadoutError(f"{path}: {error.strerror}; is this a run folder?") from None


def _with_columns(path: Path, table: pa.Table, wanted: tuple[str, ...]) -> pa.Table:
    if missing := [name for name in wanted if name not in table.column_names]:
        raise ReadoutError(f"{path}: has no column {missing[0]!r}")
    return table
