"""The scenario that a described data set gets runs as it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from simulator.datasets.describe import Description, FieldFacts, describe
from simulator.errors import DataError
from simulator.lab.run import start_run
from simulator.scenario import parse_scenario
from simulator.scenario.starter import starter
from tests.simulator.datasets.bandit import write_bandit
from tests.simulator.datasets.logged import log_of, write
from tests.simulator.datasets.published import PUBLISHED

TABLES = ["csv", "csv.gz", "parquet", "libfm"]
SPARSE = {
    "libsvm": "1 3:0.5 4:1\n0 7:2\n0 3:1 9:0.25\n",
    "libffm": "1 0:3:0.5 1:4:1\n0 0:7:2\n0 1:4:1 1:9:0.25\n",
}


def found(**changes: Any) -> Description:
    """A thousand rows of a CSV, without a clock."""
    usual = Description(
        data={"format": "csv", "path": "logs/my log.csv", "label": {"column": "click"}},
        guesses=[],
        rows=1000,
        is_whole=True,
        clicks=100,
        rejected=0,
        has_users=True,
        rule="equals: 1",
        clock="",
        span=None,
        days=0,
        most_at_once=1,
        requests=0,
        is_in_order=True,
        is_exact=True,
        doubt="",
        left_out={},
        fields=[FieldFacts("user_id", "integer", [], 60, 0, 0, 59)],
    )
    return usual._replace(**changes)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*PUBLISHED, *TABLES, *SPARSE, "open_bandit"])
def test_the_scenario_of_every_format_runs_to_its_end(tmp_path: Path, kind: str) -> None:
    if kind in SPARSE:
        (tmp_path / "log.txt").write_text(SPARSE[kind] * 50)
        data = {"path": str(tmp_path / "log.txt")}
    elif kind == "open_bandit":
        data = write_bandit(tmp_path)
    else:
        data = write(tmp_path, kind) if kind in TABLES else PUBLISHED[kind](tmp_path, 150)
    seen = describe(data["path"])
    start_run(parse_scenario(starter(seen)), tmp_path / "run", command="", workers=1, quiet=True)
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    daily = pd.read_csv(tmp_path / "run" / "daily.csv")
    assert manifest["status"] == "finished" and manifest["counts"]["records"]["dead-letters"] == 0
    assert set(daily["phase"]) == {"warmup", "aa", "ab"}
    shown = daily.groupby("day")["exposures"].max().sum()  # each arm's, where arms see the same
    assert 0.4 * seen.rows <= shown <= seen.rows and daily["logloss"].notna().any()


@pytest.mark.slow
@pytest.mark.parametrize("days, at_once", [(1, 1), (3, 1), (40, 1), (40, 700), (3, 700), (4110, 9)])
def test_the_phases_fit_whatever_rows_share_a_time(tmp_path: Path, days: int, at_once: int) -> None:
    frame = log_of(1000)
    second = 1_600_000_000 + pd.Series(range(1000)) // at_once * (days * 86_400 * at_once // 1000)
    path = tmp_path / "log.csv"
    frame.assign(when=second).to_csv(path, index=False)
    start_run(parse_scenario(starter(describe(str(path)))), tmp_path / "run", command="", workers=1, quiet=True)
    assert pd.read_csv(tmp_path / "run" / "daily.csv")["exposures"].sum() > 0


def test_days_are_the_clock_s_where_it_has_as_many_as_phases_want() -> None:
    clock = {"span": (0, 6 * 86_400_000), "clock": "the column 'at'"}
    by_clock, by_rows = starter(found(days=7, **clock)), starter(found(days=3, **clock))
    assert (
        by_clock["phases"] == {"warmup_days": 1, "aa_days": 2, "ab_days": 4} and "period_events" not in by_clock["data"]
    )
    assert by_rows["phases"] == {"warmup_days": 1, "aa_days": 3, "ab_days": 6}
    assert by_rows["data"]["period_events"] == 100 and by_rows["data"]["tick_events"] == 10
    part = starter(found(days=7, is_whole=False, **clock))
    assert part["data"]["max_events"] == 1000 and part["data"]["period_events"] == 100


def test_features_are_fields_that_tell_rows_apart_and_come_again() -> None:
    fields = [
        FieldFacts("user_id", "integer", [], 60, 0, 0, 59),
        FieldFacts("item_id", "text", [], 900, 0, None, None),
        FieldFacts("page", "text", [], 1, 0, None, None),
        FieldFacts("row", "text", [], 999, 0, None, None),
        FieldFacts("price", "number", [], 999, 0, 0.5, 9.5),
        FieldFacts("tags", "list of text", [], 9, 0, None, None),
    ]
    made = starter(found(fields=fields))
    assert made["features"] == [
        {"name": "user_id", "buckets": 128},
        {"name": "item_id", "buckets": 2048},
        {"name": "price", "kind": "number", "transform": "standardised"},
        {"name": "tags", "kind": "list", "buckets": 32},
    ]
    assert made["name"] == "replay-my-log" and [arm["name"] for arm in made["arms"]] == ["control", "reloop"]


@pytest.mark.parametrize("clicks, which", [(0, "no row"), (1000, "every row")])
def test_rows_that_are_all_alike_give_no_scenario(clicks: int, which: str) -> None:
    with pytest.raises(DataError, match=f"{which} of 1,000 is a click by equals: 1; nothing can be learnt from that"):
        starter(found(clicks=clicks))
