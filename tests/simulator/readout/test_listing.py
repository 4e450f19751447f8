"""The list of runs: finished, going on, broken and foreign folders, the newest first."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

import simulator
from simulator.errors import RunFolderError
from simulator.readout.compute import compute
from simulator.readout.listing import BROKEN, list_runs
from simulator.run_folder.reader import read_run
from tests.simulator.readout.test_undefined import folder_of
from tests.simulator.runs import lab

SHOWN = ([5, 5, 3, 4], [1, 0, 2, 1]), ([5, 2, 6, 3], [2, 0, 1, 2])


def aged(folder: Path, hours: int) -> Path:
    """The folder, as if it had been begun as many hours after the others."""
    moment = datetime(2026, 1, 1, hours, tzinfo=UTC).timestamp()
    os.utime(folder / "config.yaml", (moment, moment))
    return folder


def write_results(folder: Path) -> None:
    """Of what a readout writes, what a list reads."""
    (folder / "results.json").write_text(compute(read_run(folder)).to_json())


def says(folder: Path, status: str) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"status": status}))


def test_runs_are_listed_the_newest_first_and_what_is_no_run_is_passed_over(tmp_path: Path) -> None:
    for name, hour in (("b", 1), ("a", 3), ("c", 2)):
        aged(folder_of(tmp_path / name, SHOWN, "simulation"), hour)
    (tmp_path / "foreign").mkdir()
    (tmp_path / "manifest.json.bak").write_text("{}")
    runs = list_runs(tmp_path)
    assert [run.path.name for run in runs] == ["a", "c", "b"]
    assert runs[0].begun == datetime(2026, 1, 1, 3, tzinfo=UTC)
    assert {(run.status, run.scenario, run.kind, run.days, run.of_days) for run in runs} == {
        ("finished", "tiny", "simulation", 4, 3)  # the folder is made by hand, of a day more than its scenario has
    }


def test_the_headline_is_that_of_the_results_whether_they_are_written_or_have_to_be_computed(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "runs" / "run", SHOWN, "simulation")
    uplift = compute(read_run(folder)).uplift["01"]["raw"]
    (run,) = list_runs(tmp_path / "runs")
    assert run.headlines["01"].found == uplift and run.headlines["01"].over == "00" and not run.note
    write_results(folder)
    (folder / "users.parquet").unlink()  # nothing is left to compute from
    (run,) = list_runs(tmp_path / "runs")
    assert run.headlines["01"].found == uplift and run.headlines["01"].over == "00"


def test_results_from_before_the_run_went_on_are_not_believed(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "runs" / "run", SHOWN, "simulation")
    uplift = compute(read_run(folder)).uplift["01"]["raw"]
    written = folder / "results.json"
    write_results(folder)
    written.write_text(written.read_text().replace(repr(uplift.relative), "0.5"))
    (run,) = list_runs(tmp_path / "runs")
    assert run.headlines["01"].found.relative == 0.5  # type: ignore[union-attr]
    late = written.stat().st_mtime + 1
    os.utime(folder / "daily.csv", (late, late))
    (run,) = list_runs(tmp_path / "runs")
    assert run.headlines["01"].found == uplift


def test_results_of_another_make_are_computed_anew(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "runs" / "run", SHOWN, "simulation")
    uplift = compute(read_run(folder)).uplift["01"]["raw"]
    for text in ("[]", "{}", "{", '{"ctr": {}, "uplift": 3, "difference_of_quality": {}, "truth": {}}'):
        (folder / "results.json").write_text(text)
        (run,) = list_runs(tmp_path / "runs")
        assert run.headlines["01"].found == uplift


def test_a_run_that_goes_on_is_listed_with_its_days_and_how_to_go_on_if_it_does_not(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "run", SHOWN, "simulation")
    says(folder, "running")
    for part in (folder / "days").glob("00003-*"):
        part.unlink()
    said = lab("list", tmp_path)
    assert said.code == 0 and "running" in said.out and f"resume {folder}" in said.out
    for name in ("daily.csv", "daily.parquet"):
        (folder / name).unlink()
    (run,) = list_runs(tmp_path)
    assert (run.status, run.days, run.headlines, run.note) == ("running", 0, {}, "no day is complete yet")


DAMAGE = {
    "manifest": ("manifest.json", "is not valid JSON"),
    "scenario": ("config.yaml", "must hold a mapping"),
    "days": ("daily.csv", "cannot be read"),
    "users": ("users.parquet", "cannot be read"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_broken_run_says_why_and_hides_no_other(tmp_path: Path, name: str) -> None:
    file, why = DAMAGE[name]
    folder_of(tmp_path / "good", SHOWN, "simulation")
    broken = folder_of(tmp_path / "broken", SHOWN, "simulation")
    for part in (broken / "days").iterdir():
        part.unlink()
    (broken / file).write_text("x")
    found = {run.path.name: run for run in list_runs(tmp_path)}
    assert found["broken"].status == BROKEN and why in found["broken"].note and file in found["broken"].note
    assert found["good"].status == "finished" and found["good"].headlines
    said = lab("list", tmp_path)
    assert said.code == 0 and why in said.out and "finished" in said.out


def test_a_replay_s_headline_is_its_difference_in_log_loss(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "runs" / "run", SHOWN, "replay")
    write_results(folder)
    written = folder / "results.json"
    results = json.loads(written.read_text())
    difference = {"mean": 0.5, "lo": 0.25, "hi": None, "p": 0.125}
    written.write_text(json.dumps(results | {"difference_of_quality": {"01": {"logloss": difference}}}))
    (run,) = list_runs(tmp_path / "runs")
    assert run.kind == "replay" and run.headlines["01"].over == "00" and run.headlines["01"].found[:2] == (0.5, 0.25)
    assert "log loss +0.50000" in lab("list", tmp_path / "runs").out


def test_json_has_numbers_or_null_and_the_terminal_a_line_a_treatment(tmp_path: Path) -> None:
    folder_of(tmp_path / "runs" / "some", SHOWN, "simulation")
    folder_of(tmp_path / "runs" / "none", (([5, 5], [0, 0]), ([5, 2], [0, 0])), "simulation")
    said = json.loads(lab("list", tmp_path / "runs", "--json").out)
    by_name = {Path(one["path"]).name: one["headlines"]["01"] for one in said}
    assert by_name["some"]["relative"] > by_name["some"]["lo"] and by_name["some"]["measure"] == "ctr"
    assert by_name["none"]["relative"] is None
    lines = lab("list", tmp_path / "runs").out.splitlines()
    assert len(lines) == 3 and "01 over 00" in lines[1] and lines[0].startswith("run ")


def test_in_a_notebook_the_list_is_a_table_with_a_row_a_treatment(tmp_path: Path) -> None:
    aged(folder_of(tmp_path / "some", SHOWN, "simulation"), 2)
    broken = aged(folder_of(tmp_path / "broken", SHOWN, "simulation"), 1)
    (broken / "manifest.json").write_text("{")
    frame = simulator.list_runs(tmp_path)
    assert frame["run"].tolist() == ["some", "broken"] and frame["status"].tolist() == ["finished", BROKEN]
    uplift = compute(read_run(tmp_path / "some")).uplift["01"]["raw"]
    assert tuple(frame.loc[0, ["estimate", "lo", "hi", "p"]]) == uplift and frame.loc[0, "over"] == "00"
    assert frame["estimate"].isna().tolist() == [False, True] and "manifest.json" in frame["note"].tolist()[1]


def test_a_folder_without_runs_says_so_and_no_folder_is_a_mistake(tmp_path: Path) -> None:
    done = lab("list", tmp_path)
    assert (done.code, done.out) == (0, "") and "no run lies in it" in done.err
    missing = lab("list", tmp_path / "none")
    assert missing.code == 2 and "no such folder" in missing.err
    with pytest.raises(RunFolderError, match="no such folder"):
        list_runs(tmp_path / "none")
