"""Studies from Python say what the commands say."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest

from reloop_stream.errors import ConfigError
from simulator import replicate, sweep
from simulator.studies.cells import CellsFailed
from tests.simulator.runs import lab
from tests.simulator.studies.small import small_file

ALPHA, RATE = "arms.reloop.loss.alpha", "arms.*.learner.optimizer.lr"


def test_a_sweep_is_a_table(tmp_path: Path) -> None:
    path = small_file(tmp_path)
    found = sweep(path, {ALPHA: [0.2, 0.4], RATE: "0.05,0.1"}, seeds=1, jobs=1, out=tmp_path / "a", quiet=True)
    assert found.attrs["study"] == str(tmp_path / "a") and len(found) == 8
    said = ["sweep", path, "--grid", f"{ALPHA}=0.2,0.4", "--grid", f"{RATE}=0.05,0.1", "--seeds", 1, "--jobs", 1]
    assert lab(*said, "--out", tmp_path / "b").code == 0
    assert {file.name for file in (tmp_path / "a").iterdir()} == {file.name for file in (tmp_path / "b").iterdir()}
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "b" / "sweep.csv"), found)
    with pytest.raises(CellsFailed, match="1 of 2 cells failed"):
        sweep(path, {ALPHA: [0.2, 2]}, seeds=1, jobs=1, out=tmp_path / "c", quiet=True)
    with pytest.raises(ConfigError, match=r"grid x=: must be path.to.key="):
        sweep(path, {"x": ""}, quiet=True)


def test_a_replication_is_a_table_of_the_scenario_with_other_values(tmp_path: Path) -> None:
    path = small_file(tmp_path)
    tune: dict[str, str | Sequence[float]] = {RATE: [0.05, 0.1]}
    found = replicate(
        path, {"world.ctr": 0.2}, seeds=1, aa_own=False, tune=tune, tune_seeds=1, jobs=1, out=tmp_path / "a", quiet=True
    )
    assert found["estimator"].tolist() == ["aa", "raw", "ab_minus_aa", "cuped"]
    assert (tmp_path / "a" / "tuned.csv").exists() and "ctr: 0.2" in (tmp_path / "a" / "study.yaml").read_text()
