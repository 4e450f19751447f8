"""The run folder: a day that is done is not lost, whoever dies before telling of it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from simulator.run_folder.columns import BLOCK_COLUMNS, DAILY_COLUMNS, MONITOR_COLUMNS
from simulator.run_folder.manifest import Manifest, Timings, TruthRow
from simulator.run_folder.reader import read_run
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


def test_blocks_are_put_together_in_the_order_of_days_and_arms_each_once(tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "run", [], [])
    folder.write_blocks(ARMS)
    assert not (tmp_path / "run" / "blocks.csv").exists()
    for day, arm in [(1, "control"), (0, "reloop"), (1, "reloop"), (0, "control"), (0, "control")]:
        numbers: dict[str, Any] = dict.fromkeys(BLOCK_COLUMNS, 0.25) | {"day": day, "arm": arm, "phase": "ab"}
        blocks = [numbers | {"block": 0}, numbers | {"block": 10, "auc_without": math.nan}]
        folder.write_day(row(day, arm), users(day, arm), blocks)
    folder.write_blocks(ARMS)
    found = pd.read_csv(tmp_path / "run" / "blocks.csv")
    places = list(zip(found["day"], found["arm"], found["block"], strict=True))
    assert places == [(day, arm, block) for day in (0, 1) for arm in ARMS for block in (0, 10)]
    assert list(found.columns) == list(BLOCK_COLUMNS) and found["auc_without"].isna().sum() == 4


def test_a_replay_begun_before_there_was_a_choice_goes_on_with_its_users_split(tmp_path: Path) -> None:
    replay = {"name": "old", "data": {"format": "libfm", "path": "x", "fields": 2}, "features": [{"name": "f1"}]}
    folder = RunFolder.create(tmp_path / "run", parse_scenario({**replay, "arms": [{"name": "a"}, {"name": "b"}]}))
    folder.write_manifest(MANIFEST)
    assert RunFolder.open(folder.path)[1].is_paired
    config = folder.path / "config.yaml"
    config.write_text(config.read_text().replace("  design: paired\n", ""))
    assert "design" not in config.read_text() and not RunFolder.open(folder.path)[1].is_paired


def test_users_named_by_texts_may_all_stay_away_on_the_first_day(tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "run", [], [])
    nobody = users(0, "control") | {"user_id": np.zeros(0, np.int64), "arm": pa.array([], pa.string())}
    nobody |= {"phase": pa.array([], pa.string())} | {
        name: np.zeros(0, np.int64) for name in ("day", "exposures", "clicks")
    }
    folder.write_day(row(0, "control"), nobody)
    folder.write_day(row(0, "reloop"), users(0, "reloop") | {"user_id": ["00", "1e3"]})
    folder.write_users()
    assert pq.read_table(tmp_path / "run" / "users.parquet")["user_id"].to_pylist() == ["00", "1e3"]


def test_a_run_that_goes_on_is_read_with_the_days_that_every_arm_has_finished(tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "run", [(0, "control")], [])
    assert read_run(folder.path).users is None  # reloop's day is not there yet
    folder.write_day(row(0, "reloop"), users(0, "reloop"))
    folder.write_users()  # as an interruption does; what it put together is older than what a resumed run adds
    for day, arm in ((1, "reloop"), (1, "control"), (2, "control")):
        folder.write_day(row(day, arm), users(day, arm))
    found = read_run(folder.path).users
    assert found is not None
    assert (
        found.to_pylist() == pa.concat_tables([pa.table(users(day, arm)) for day in (0, 1) for arm in ARMS]).to_pylist()
    )
    assert read_run(folder.path).blocks is None
    for day, arm in ((0, "control"), (0, "reloop"), (3, "control")):
        numbers: dict[str, Any] = dict.fromkeys(BLOCK_COLUMNS, 0.25) | {"day": day, "arm": arm, "phase": "ab"}
        folder.write_day(row(day, arm), users(day, arm), [numbers | {"block": block} for block in (0, 1)])
    blocks = read_run(folder.path).blocks
    assert blocks is not None and tuple(blocks.column_names) == BLOCK_COLUMNS
    assert list(zip(blocks["day"].to_pylist(), blocks["arm"].to_pylist(), blocks["block"].to_pylist(), strict=True)) == [
        (0, "control", 0), (0, "control", 1), (0, "reloop", 0), (0, "reloop", 1),
    ]  # fmt: skip
    folder.delete_day_files()  # as the end does
    assert read_run(folder.path).users == pq.read_table(folder.path / "users.parquet")


@pytest.mark.parametrize(
    "names", [("00", "01"), ("true", "false"), ("0.10", "0.1"), ("1e3", "1E3"), ("NA", "null"), ("nan", "inf")]
)
def test_an_arm_s_name_stays_the_text_that_it_is_in_every_table(tmp_path: Path, names: tuple[str, str]) -> None:
    raw = yaml.safe_load(TINY) | {"arms": [{"name": name, "share": 0.5} for name in names]}
    folder = RunFolder.create(tmp_path, parse_scenario(raw))
    folder.write_manifest(MANIFEST)
    for name in names:
        folder.write_day(row(0, name), users(0, name))
        folder.add_day(row(0, name), names)
        folder.write_readings([dict.fromkeys(MONITOR_COLUMNS, 0.5) | {"learner": name, "arm": name, "tick": 0}])
    folder.write_truth([TruthRow("launch", 0, name, 10, 1.0) for name in names])
    folder.write_users()
    folder.write_monitor(names)
    again, scenario, _ = RunFolder.open(tmp_path)
    again.write_daily(names)
    run = read_run(tmp_path)
    assert run.arms == [arm.name for arm in scenario.arms] == run.daily["arm"].to_pylist() == list(names)
    assert run.users is not None and sorted(run.users["arm"].to_pylist()) == sorted(2 * names)
    assert run.monitor is not None and run.monitor["learner"].to_pylist() == run.monitor["arm"].to_pylist() == list(
        names
    )
    assert set(run.truth["arm"].to_pylist()) == {*names}


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


def test_ticks_that_are_judged_again_after_a_kill_are_there_once_in_the_order_of_arms(tmp_path: Path) -> None:
    def judged(arm: str, *rows: int) -> pa.Table:
        return pa.table({"arm": [arm] * len(rows), "click": rows})

    folder = RunFolder(tmp_path)
    folder.write_judged(1, 5, judged("reloop", 7, 8))
    folder.write_judged(0, 5, judged("control", 1, 2))
    folder.write_judged(0, 9, judged("control", 3, 4, 5))  # and dies before its checkpoint
    folder.write_judged(0, 9, judged("control", 3))  # goes on from tick 5, and is stopped earlier
    folder.write_judged(0, 10, judged("control", 4, 5))
    folder.write_off_policy()
    found = pq.read_table(tmp_path / "off_policy.parquet")
    assert found.equals(pa.concat_tables([judged("control", 1, 2, 3, 4, 5), judged("reloop", 7, 8)]))
