"""The run folder: a day that is done is not lost, whoever dies before telling of it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import yaml

from simulator.folder import RunFolder
from simulator.scenario import parse_scenario
from simulator.tally import DAILY_COLUMNS
from tests.conftest import TINY

ARMS = ["control", "reloop"]


def row(day: int, arm: str) -> dict[str, Any]:
    numbers: dict[str, Any] = dict.fromkeys(DAILY_COLUMNS, day + 0.1)
    return numbers | {"day": day, "arm": arm, "phase": "aa", "users": 2, "random_auc": math.nan}


def users(day: int, arm: str) -> dict[str, Any]:
    return {
        "user_id": [1, 2],
        "arm": [arm] * 2,
        "day": [day] * 2,
        "phase": ["aa"] * 2,
        "exposures": [5, 5],
        "clicks": [1, 0],
    }


def folder_with(path: Path, told: list[tuple[int, str]], untold: list[tuple[int, str]]) -> RunFolder:
    folder = RunFolder.create(path, parse_scenario(yaml.safe_load(TINY)))
    folder.write_manifest({"status": "running"})
    for day, arm in (*told, *untold):
        folder.write_day(row(day, arm), users(day, arm))
        if (day, arm) in told:
            folder.add_day(row(day, arm), ARMS)
    return folder


def test_days_that_only_their_files_tell_of_are_in_the_daily_table(tmp_path: Path) -> None:
    everything = [(day, arm) for day in (0, 1) for arm in ARMS]
    folder_with(tmp_path / "whole", everything, []).write_users()
    folder_with(tmp_path / "killed", everything[:2], everything[2:])
    again, _, _ = RunFolder.open(tmp_path / "killed")
    again.write_daily(ARMS)
    again.write_users()
    for name in ("daily.csv", "daily.parquet", "users.parquet"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "killed" / name).read_bytes(), name
    assert len(pd.read_csv(tmp_path / "killed" / "daily.csv")) == 4
    assert pq.read_table(tmp_path / "killed" / "users.parquet").num_rows == 8


def test_before_the_first_day_there_is_no_daily_table(tmp_path: Path) -> None:
    folder_with(tmp_path / "new", [], []).write_daily(ARMS)
    assert not (tmp_path / "new" / "daily.csv").exists()
