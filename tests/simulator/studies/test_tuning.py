"""Tuning: all arms try the same, on seeds of their own, and the best by the mean is what goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from reloop_stream.config import read_mapping
from reloop_stream.errors import ConfigError
from simulator.scenario import load_scenario, parse_scenario
from simulator.studies.cells import CellsFailed, StudyFolder, making
from simulator.studies.engines import Local
from simulator.studies.knobs import Knob, with_values
from simulator.studies.launched import launch_all
from simulator.studies.replicate import ReplicationPlan, run_replication
from simulator.studies.sweep import SweepPlan, run_sweep
from simulator.studies.tuning import FIRST_SEED, Tuned, TuningPlan, parse_tuning, tune
from simulator.studies.worlds import in_world
from tests.simulator.runs import lab
from tests.simulator.studies.small import DIVERGES_AT_10, small, small_file

RATE = "arms.*.learner.optimizer.lr"


def tuned(raw: dict[str, Any], plan: TuningPlan, out: Path) -> Tuned:
    folder = StudyFolder(out, {"study": "test"})
    with making(folder, Local(1), plan.cells(2), quiet=True) as make_all:
        return tune(raw, plan, [1, 2], folder, make_all, 1)


def test_one_range_is_tried_at_even_distances_several_at_halton_s_points_and_values_in_every_combination() -> None:
    assert parse_tuning([f"{RATE}=0.01..100:log"], 5, 2).trials == [
        {RATE: value} for value in (0.01, 0.1, 1.0, 10.0, 100.0)
    ]
    both = parse_tuning([f"{RATE}=0..8", "arms.*.loss.scale=1..10:log"], 3, 2)
    halton = [(1 / 2, 1 / 3), (1 / 4, 2 / 3), (3 / 4, 1 / 9)]  # van der Corput's numbers in bases 2 and 3
    np.testing.assert_allclose(
        [[*trial.values()] for trial in both.trials], [(8 * a, 10**b) for a, b in halton], rtol=1e-5
    )
    mixed = parse_tuning([f"{RATE}=0..8", "arms.*.updating.passes=1,2,4"], 4, 2)
    assert [trial["arms.*.updating.passes"] for trial in mixed.trials] == [2, 4, 1, 2]
    listed = parse_tuning([f"{RATE}=1,2", "arms.*.updating.passes=3,4"], None, 2)
    assert [[*trial.values()] for trial in listed.trials] == [[1, 3], [1, 4], [2, 3], [2, 4]]
    assert list(both.seeds) == [FIRST_SEED, FIRST_SEED + 1] and both.cells(3) == 18


@pytest.mark.parametrize(
    "texts, budget, reason",
    [
        (["learner.optimizer.lr=0.1,0.2"], None, r"must be a knob of every arm, arms\.\*\.…"),
        (["arms.reloop.loss.alpha=0.1,0.2"], None, r"must be a knob of every arm"),
        ([f"{RATE}=1..2"], None, r"--budget: got None, a range wants 2 to 1000 trials"),
        ([f"{RATE}=1..2"], 1, r"--budget: got 1, a range wants 2 to 1000"),
        ([f"{RATE}=1,2,3"], 2, r"--budget: got 2, the values given to --tune make 3 trials"),
        ([f"{RATE}=1,2", f"{RATE}=3,4"], None, r"a knob is given twice"),
    ],
)
def test_what_would_not_be_fair_or_has_no_end_is_a_mistake(texts: list[str], budget: int | None, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        parse_tuning(texts, budget, 2)


def test_each_arm_gets_its_best_by_true_ctr_beside_the_tuned_control(tmp_path: Path) -> None:
    plan = TuningPlan([{RATE: rate} for rate in (0.003, 0.1, 1.0)], [7, 8])
    found = tuned(small(), plan, tmp_path / "t")
    table = found.table
    assert table.groupby("arm").size().to_dict() == {"control": 6, "reloop": 6}
    for choice in found.choices:
        mine = table[table["arm"] == choice.arm].groupby("optimizer.lr")["ctr"].mean()
        assert choice.values == {RATE: mine.idxmax()} and choice.ctr == pytest.approx(mine.max())
        assert table[table["chosen"] & (table["arm"] == choice.arm)]["optimizer.lr"].unique() == [mine.idxmax()]
        assert bool(choice.edges) == (choice.values[RATE] != 0.1)
    rates = {choice.arm: choice.values[RATE] for choice in found.choices}
    assert {arm.name: arm.learner.optimizer.lr for arm in parse_scenario(found.raw).arms} == rates
    # A trial by hand: the arm launched beside the control at its tuned rate, in the tuning world.
    raw = with_values(small(), {"arms.control.optimizer.lr": rates["control"], "arms.reloop.optimizer.lr": 1.0})
    days = launch_all(parse_scenario(in_world(raw | {"seed": {}}, 8)), tmp_path / "by-hand")
    of_arm = [day for day in days if day.arm == "reloop"]
    ctr = sum(day.expected_clicks for day in of_arm) / sum(day.exposures for day in of_arm)
    row = table[(table["arm"] == "reloop") & (table["optimizer.lr"] == 1.0) & (table["seed"] == 8)].iloc[0]
    assert row["ctr"] == pytest.approx(ctr, abs=1e-12)

    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "t" / "tuned.csv"), table)
    assert parse_scenario(read_mapping(tmp_path / "t" / "tuned.yaml")) == parse_scenario(found.raw)
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "t" / "cells").iterdir()}
    assert str(tuned(small(), plan, tmp_path / "t")) == str(found)
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "t" / "cells").iterdir()} == before
    assert "3 trials an arm, the same for all, on seeds 7 to 8, which are not reported" in str(found)


def test_a_trial_that_diverges_is_lost_and_an_arm_without_any_left_is_said(tmp_path: Path) -> None:
    raw = small(learner=DIVERGES_AT_10)
    found = tuned(raw, TuningPlan([{RATE: 0.05}, {RATE: 10}], [7]), tmp_path / "some")
    assert {choice.arm: choice.values[RATE] for choice in found.choices} == {"control": 0.05, "reloop": 0.05}
    assert found.table["ctr"].isna().tolist() == [False, True, False, True]
    with pytest.raises(CellsFailed, match=r"2 of 2 cells failed") as raised:
        tuned(raw, TuningPlan([{RATE: 9}, {RATE: 10}], [7]), tmp_path / "none")
    assert raised.value.is_mistake
    with pytest.raises(
        ConfigError, match=r"--tune arms.control.learner.optimizer.lr=-1: arms\[0\].learner.optimizer.lr"
    ):
        tuned(raw, TuningPlan([{RATE: -1}], [7]), tmp_path / "bad")


def test_studies_report_what_was_tuned_on_seeds_that_no_arm_was_tuned_on(tmp_path: Path) -> None:
    plan = TuningPlan([{RATE: rate} for rate in (0.05, 0.5)], [7])
    alphas = Knob("arms.reloop.loss.alpha", (0.2, 0.4))
    swept = run_sweep(SweepPlan(small(), [alphas], [1], tuning=plan), tmp_path / "s", Local(1), quiet=True)
    assert swept.tuned is not None and str(swept).startswith("tuned by true CTR: 2 trials an arm")
    same = run_sweep(SweepPlan(swept.tuned.raw, [alphas], [1]), tmp_path / "same", Local(1), quiet=True)
    pd.testing.assert_frame_equal(swept.rows, same.rows)
    replicated = run_replication(ReplicationPlan(small(), [1], (), False, plan), tmp_path / "r", Local(1), quiet=True)
    assert replicated.tuned is not None and replicated.tuned.raw == swept.tuned.raw and replicated.cells == 1
    with pytest.raises(ConfigError, match=r"--first-seed: seed 7 is one that arms are tuned on"):
        run_sweep(SweepPlan(small(), [alphas], [6, 7], tuning=plan), tmp_path / "o", Local(1), quiet=True)


def test_the_command_tunes_and_its_scenario_runs_again(tmp_path: Path) -> None:
    path, out = small_file(tmp_path), tmp_path / "out"
    said = ["sweep", path, "--grid", "arms.reloop.loss.alpha=0.2", "--seeds", 1, "--jobs", 1, "--out", out]
    done = lab(*said, "--tune", f"{RATE}=0.01..1:log", "--budget", 3, "--tune-seeds", 1)
    assert done.code == 0 and done.out.startswith("tuned by true CTR: 3 trials an arm"), done.err
    assert "(7/7)" in done.err  # three trials of two arms, and the cell
    assert load_scenario(out / "tuned.yaml").arms[1].learner.optimizer.lr in (0.01, 0.1, 1.0)
    other = lab(*said)
    assert other.code == 2 and "its cells are of tune" in other.err
    assert lab(*said, "--budget", 3).err.startswith("error: --budget: is for --tune")
