"""A run that is over can be read out whatever it holds: what is not defined is a dash in every place."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml

from simulator.errors import RunFolderError
from simulator.readout import read_out
from simulator.readout.view import open_run
from simulator.run_folder.columns import DAILY_COLUMNS
from simulator.run_folder.manifest import Manifest, Timings
from simulator.run_folder.writer import RunFolder
from simulator.scenario import parse_scenario
from tests.conftest import TINY

PHASES = ("warmup", "aa", "ab", "ab")

# Exposures and clicks of each user of the arms 00 and 01, the same on each day.
RUNS: dict[str, tuple[tuple[list[int], list[int]], tuple[list[int], list[int]]]] = {
    "no click": (([5, 5, 3], [0, 0, 0]), ([5, 2], [0, 0])),
    "everything clicked": (([5, 5, 3], [5, 5, 3]), ([5, 2], [5, 2])),
    "nobody in an arm": (([5, 5, 3], [1, 0, 2]), ([], [])),
    "one user each": (([5], [1]), ([7], [2])),
    "no exposure at all": (([], []), ([], [])),
}


def folder_of(path: Path, arms: Any, kind: Any) -> Path:
    raw = yaml.safe_load(TINY) | {"arms": [{"name": name, "share": 0.5} for name in ("00", "01")]}
    folder = RunFolder.create(path, parse_scenario(raw))
    for day, phase in enumerate(PHASES):
        for name, (shown, clicks) in zip(("00", "01"), arms, strict=True):
            n = len(shown)
            columns = {
                "user_id": np.arange(n), "arm": pa.array([name] * n, pa.string()), "day": np.full(n, day),
                "phase": pa.array([phase] * n, pa.string()), "exposures": np.array(shown, np.int64),
                "clicks": np.array(clicks, np.int64),
            }  # fmt: skip
            row: dict[str, Any] = dict.fromkeys(DAILY_COLUMNS, math.nan)
            row |= {"day": day, "phase": phase, "arm": name, "users": n, "exposures": sum(shown), "clicks": sum(clicks)}
            row["ctr"] = sum(clicks) / sum(shown) if shown else math.nan
            folder.write_day(row, columns)
            folder.add_day(row, ("00", "01"))
    folder.write_users()
    folder.write_manifest(
        Manifest(
            scenario="tiny",
            kind=kind,
            status="finished",
            command="test",
            seeds={},
            log="embedded",
            prefix="tiny",
            git=None,
            versions={},
            warnings=[],
            stages_done=[],
            truth=[],
            learners={},
            timings=Timings(),
        )
    )
    return path


@pytest.mark.parametrize("name", RUNS)
def test_what_is_not_defined_is_null_in_the_results_and_a_dash_in_words(tmp_path: Path, name: str) -> None:
    view = open_run(folder_of(tmp_path / "run", RUNS[name], "simulation"))
    found = json.loads(view.results.to_json())
    assert found["uplift"]["01"]["raw"] == {"relative": None, "lo": None, "hi": None, "p": None}
    assert (
        "no uplift of 01: it needs two users and a click in either arm, and users whose CTRs differ" in found["notes"]
    )
    assert "uplift of 01 over 00 in CTR" in str(view) and "nan" not in str(view) + repr(view) + view._repr_html_()
    for day in view.results.days:
        if day.row["exposures"]:
            assert 0 <= day.lo <= day.row["ctr"] <= day.hi <= 1 and day.lo < day.hi


@pytest.mark.parametrize("name, kind", [("no click", "simulation"), ("nobody in an arm", "replay")])
def test_a_run_in_which_nothing_is_defined_has_its_plots_and_its_page(tmp_path: Path, name: str, kind: str) -> None:
    out = folder_of(tmp_path / "run", RUNS[name], kind)
    read_out(out)
    page = (out / "report.html").read_text()
    assert "nan" not in page.lower().replace("finance", "").split("<svg")[0] and "[–" not in page
    drawn = {path.stem for path in (out / "plots").glob("*.png")}
    assert drawn == ({"ctr", "uplift", "quality"} if kind == "simulation" else {"difference", "quality"})


def test_a_replay_without_blocks_yet_has_no_differences_and_a_dash_for_them(tmp_path: Path) -> None:
    view = open_run(folder_of(tmp_path / "run", RUNS["one user each"], "replay"))
    found = json.loads(view.results.to_json())["difference_of_quality"]["01"]
    assert (
        all(value == {"mean": None, "lo": None, "hi": None, "p": None} for value in found.values()) and len(found) == 3
    )
    assert view.differences["mean"].isna().all() and view.daily_differences["mean"].isna().all() and view.blocks.empty
    assert "nan" not in str(view) + repr(view) + view._repr_html_()


def test_any_arm_can_be_the_baseline_and_an_unknown_one_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    shown = ([40, 50, 30, 20], [4, 1, 2, 3]), ([60, 20, 40], [4, 6, 3])
    folder = folder_of(tmp_path / "run", shown, "simulation")
    one, other = open_run(folder).results, open_run(folder, baseline="01").results
    assert (one.run.control, one.run.treatments) == ("00", ["01"])
    assert (other.run.control, other.run.treatments) == ("01", ["00"])
    there, back = one.uplift["01"]["raw"], other.uplift["00"]["raw"]
    assert (1 + there.relative) * (1 + back.relative) == pytest.approx(1)
    assert "00 changes CTR by" in other.sentence("00") and "against 01" in other.sentence("00")
    with pytest.raises(RunFolderError, match="baseline: got 'none', the arms are 00, 01"):
        open_run(folder, baseline="none")
