"""The run folder: a day that is done is not lost, whoever dies before telling of it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import yaml

from simulator.run_folder.columns import DAILY_COLUMNS, MONITOR_COLUMNS
from simulator.run_folder.manifest import Manifest, Timings
from simulator.run_folder.writer import RunFolder
from simulator.scenario import parse_scenario
from tests.conftest import TINY

ARMS = ["control", "reloop"]
MANIFEST = Manifest(
    scenario="tiny", kind="simulation", status="running", command="test", seeds={}, log="embedded", prefix="tiny",
    git=None, versions={}, warnings=[], stages_done=[], truth=[], learners={}, timings=Timings(),
)  # fmt: skip


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
    folder.write_manifest(MANIFEST)
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


def readings(learner: str, ticks: range) -> list[dict[str, Any]]:
    same = dict.fromkeys(MONITOR_COLUMNS, 0.5)
    return [same | {"learner": learner, "arm": "control", "tick": tick, "auc": math.nan} for tick in ticks]


def test_readings_are_in_the_monitor_s_table_once_whatever_was_worked_through_again(tmp_path: Path) -> None:
    whole, killed = (folder_with(tmp_path / name, [], []) for name in ("whole", "killed"))
    for learner in ("control-learner", "control"):
        first = 0 if learner == "control-learner" else 9
        whole.write_readings(readings(learner, range(first, first + 9)))
        for ticks in (range(first, first + 4), range(first + 4, first + 7), range(first + 4, first + 9)):
            killed.write_readings(readings(learner, ticks))
    for folder in (whole, killed):
        folder.write_monitor(ARMS)
    table = (tmp_path / "whole" / "monitor.csv").read_text()
    assert table == (tmp_path / "killed" / "monitor.csv").read_text()
    found = pd.read_csv(tmp_path / "whole" / "monitor.csv")
    assert found["tick"].tolist() == list(range(18)) and found["auc"].isna().all()
    assert found["learner"].tolist() == ["control-learner"] * 9 + ["control"] * 9


def test_without_readings_there_is_no_monitor_s_table(tmp_path: Path) -> None:
    folder_with(tmp_path / "new", [], []).write_monitor(ARMS)
    assert not (tmp_path / "new" / "monitor.csv").exists()
