"""A replay goes on with the data that it began with, or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from simulator.errors import DataError, RunFailed
from simulator.lab.run import resume_run, start_run
from simulator.run_folder.manifest import read_manifest
from tests.simulator.datasets.logged import N, log_of, write
from tests.simulator.replay.described import scenario
from tests.simulator.runs import lab

pytestmark = pytest.mark.slow


def stopped_after(calls: int) -> Callable[[], bool]:
    left = iter(range(calls))
    return lambda: next(left, None) is None


def stopped(folder: Path, data: dict[str, Any]) -> Path:
    """A run that was stopped half-way."""
    with pytest.raises(RunFailed):
        start_run(scenario(data), folder, command="", workers=1, quiet=True, should_stop=stopped_after(8))
    assert read_manifest(folder).status == "interrupted"
    return folder


def test_a_stopped_replay_goes_on_with_the_rows_that_it_began_with(tmp_path: Path) -> None:
    data = write(tmp_path, "csv")
    out = stopped(tmp_path / "run", data)
    start_run(scenario(data), tmp_path / "whole", command="", workers=1, quiet=True)
    Path(data["path"]).unlink()
    resume_run(out, workers=1, quiet=True)
    assert (out / "daily.csv").read_text() == (tmp_path / "whole" / "daily.csv").read_text()
    assert pd.read_csv(out / "daily.csv")["exposures"].sum() == 2 * N  # every arm sees every event
    assert not (out / "rows").exists() and not (tmp_path / ".run.rows").exists()  # nothing is left of them


def test_a_replay_killed_as_it_began_reads_the_same_data_or_none(tmp_path: Path) -> None:
    data = write(tmp_path, "csv")
    path = Path(data["path"])
    out, content = stopped(tmp_path / "run", data), path.read_text()
    shutil.rmtree(out / "rows")
    path.write_text(content.replace(",1\n", ",0\n", 1))  # as long as before
    asked = lab("resume", out, "--quiet")
    assert asked.code == 2 and f"{path}: has changed since the run began" in asked.err and "Traceback" not in asked.err
    assert read_manifest(out).status == "interrupted"
    path.write_text(content)
    resume_run(out, workers=1, quiet=True)
    assert pd.read_csv(out / "daily.csv")["exposures"].sum() == 2 * N
    path.unlink()
    resume_run(out, workers=1, quiet=True)  # it is finished, and only read out


def test_what_is_doubtful_in_the_data_stands_in_the_manifest_and_the_log(tmp_path: Path) -> None:
    frame = log_of()
    frame["when"] *= 1000
    data = write(tmp_path, "csv")
    frame.to_csv(data["path"], index=False)
    start_run(scenario(data), tmp_path / "run", command="", workers=1, quiet=True)
    (warning,) = read_manifest(tmp_path / "run").warnings
    assert "look like milliseconds" in warning and warning in (tmp_path / "run" / "log.txt").read_text()


def test_a_mistake_in_the_data_is_exit_code_2_before_there_is_a_folder(tmp_path: Path) -> None:
    data = write(tmp_path, "csv")
    frame = log_of().astype({"price": str})
    frame.loc[9, "price"] = "1e39"
    frame.to_csv(data["path"], index=False)
    with pytest.raises(DataError, match=r"'price' holds 1e\+39 in row 10 \(line 11\)"):
        start_run(scenario(data), tmp_path / "run", command="", workers=1, quiet=True)
    assert not (tmp_path / "run").exists()


def test_a_stop_while_the_data_are_read_leaves_nothing(tmp_path: Path) -> None:
    data = write(tmp_path, "csv")
    with pytest.raises(KeyboardInterrupt):
        start_run(scenario(data), tmp_path / "run", command="", workers=1, quiet=True, should_stop=lambda: True)
    assert [path.name for path in tmp_path.iterdir()] == ["log.csv"]
