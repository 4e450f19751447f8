"""`readout` of a run folder and of a table of one's own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from reloop_stream.runtime.exits import OK, USERS_MISTAKE
from tests.simulator.readout.own import experiment
from tests.simulator.runs import lab


@pytest.mark.slow
def test_a_run_is_read_out_again_against_the_arm_that_is_asked_for(whole: Callable[[], Path], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(whole(), folder)
    done = lab("report", folder, "--baseline", "reloop")  # its other name
    assert done.code == OK and "uplift of control over reloop in CTR" in done.out
    found = json.loads((folder / "results.json").read_text())
    assert found["baseline"] == "reloop" and list(found["uplift"]) == ["control"]
    done = lab("readout", folder, "--baseline", "nobody")
    assert done.code == USERS_MISTAKE and "baseline: got 'nobody', the arms are control, reloop" in done.err


def test_a_table_of_one_s_own_gives_results_plots_and_a_page(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    experiment(users=1500, uplift=0.3).to_csv(path, index=False)
    done = lab("readout", "--csv", path, "--shares", "control=0.5,new=0.5")
    out = tmp_path / "mine-readout"
    assert (
        done.code == OK
        and "uplift of new over control in CTR" in done.out
        and f"report: {out / 'report.html'}" in done.out
    )
    found = json.loads((out / "results.json").read_text())
    assert found["uplift"]["new"]["cuped"]["lo"] > 0 and found["truth"]["new"] == {"experiment": None, "launch": None}
    assert {row["segment"] for row in found["segments"]} >= {"device", "activity"} and len(
        found["sequential"]["new"]
    ) == 2
    assert {one["name"] for one in found["checks"]} == {"sample_ratio", "pre_period", "peeking", "power"}
    assert (out / "plots" / "uplift.png").read_bytes()[:4] == b"\x89PNG" and "mine" in (out / "report.html").read_text()


def test_names_that_mean_something_to_a_page_or_a_plot_are_text_and_one_arm_is_an_answer(tmp_path: Path) -> None:
    frame = experiment(users=60, arms=("<b>a</b>", "$x^$"))
    frame.to_parquet(tmp_path / "own.parquet")
    done = lab("readout", "--csv", tmp_path / "own.parquet", "--out", tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    assert done.code == OK and "<b>a</b>" not in page and "&lt;b&gt;a&lt;/b&gt;" in page
    frame[frame["user"] == frame["user"].iloc[0]].drop(columns=["day", "phase"]).to_parquet(tmp_path / "own.parquet")
    done = lab("readout", "--csv", tmp_path / "own.parquet", "--out", tmp_path / "out")
    assert (
        done.code == OK
        and "Traceback" not in done.err
        and json.loads((tmp_path / "out" / "results.json").read_text())["uplift"] == {}
    )


@pytest.mark.parametrize(
    "words, message",
    [
        ([], "give one of RUN_DIR and --csv FILE"),
        (["runs/x", "--csv", "own.csv"], "give one of RUN_DIR and --csv FILE"),
        (["runs/x", "--out", "y"], "--out and --shares go with --csv: a run folder has its own"),
        (["--csv", "own.csv", "--shares", "a=0"], "got 'a=0', must be NAME=SHARE with a share above 0"),
        (["--csv", "own.csv", "--shares", "0.5"], "got '0.5', must be NAME=SHARE"),
        (["--csv", "none.csv"], "none.csv: no such file"),
        (["none"], "is no run folder"),
    ],
)
def test_a_mistake_in_what_is_asked_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = lab("readout", *words)
    assert done.code == USERS_MISTAKE and message in done.err
