"""Sweeps: what is shared is as if it were not, what is there is not made again, and figures are those of the worlds."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from reloop_stream.errors import ConfigError
from simulator.errors import RunFolderError, ScenarioError
from simulator.lab.run import start_run
from simulator.readout.compute import compute
from simulator.run_folder.reader import read_run
from simulator.scenario import parse_scenario
from simulator.studies.engines import Local
from simulator.studies.knobs import Knob, points, with_values
from simulator.studies.launched import launch_all
from simulator.studies.launches import MOST_TREATMENTS, LaunchBatch, LaunchCell, batches_of
from simulator.studies.measures import measured
from simulator.studies.sweep import Sweep, SweepPlan, run_sweep
from simulator.studies.sweep_plot import draw
from simulator.studies.worlds import as_mapping, in_world, scratch
from tests.simulator.runs import lab, start
from tests.simulator.studies.small import DIVERGES_AT_10, small, small_file

ALPHA = Knob("arms.reloop.loss.alpha", (0, 0.5))
OF_THREE = [
    {"name": "control", "learner": {"loss": {"name": "bce"}}},
    {"name": "reloop", "learner": {"loss": {"name": "reloop", "alpha": 0.3}}},
    {"name": "other", "learner": {"model": {"name": "lr"}, "optimizer": {"name": "sgd"}}},
]


def cells_of(raw: dict[str, Any], knobs: list[Knob]) -> list[LaunchCell]:
    return [
        LaunchCell(json.dumps(point), in_world(as_mapping(parse_scenario(with_values(raw, point))), 3))
        for point in points(knobs)
    ]


def made(batches: list[LaunchBatch]) -> dict[str, Any]:
    return {key: rows for batch in batches for key, rows in batch.make().items()}


@pytest.mark.slow
@pytest.mark.parametrize("updating", [{"mode": "incremental"}, {"mode": "window", "days": 2, "every_hours": 12}])
def test_cells_made_together_are_bit_for_bit_those_made_alone(updating: dict[str, Any]) -> None:
    raw = small(
        learner__updating=updating, arms=OF_THREE
    )  # `other` is a shadow of A/A, for its model is not the control's
    cells = cells_of(raw, [ALPHA, Knob("arms.other.optimizer.lr", (0.05, 0.5))])
    together = batches_of(cells, 1)
    assert len(together) == 1
    assert made(together) == made([LaunchBatch((cell,)) for cell in cells])


def test_only_cells_of_one_past_and_control_are_made_together_and_not_too_many() -> None:
    raw = small()
    alphas, rates = (
        Knob("arms.reloop.loss.alpha", tuple(i / 40 for i in range(40))),
        Knob("arms.*.optimizer.lr", (0.1, 0.2)),
    )
    batches = batches_of(cells_of(raw, [rates, alphas]), 1)
    assert all(len({cell.past for cell in batch.cells}) == 1 for batch in batches)
    assert [len(batch.cells) for batch in batches] == [16, 16, 8, 16, 16, 8] and MOST_TREATMENTS == 16
    only = cells_of(raw, [alphas])
    assert [len(batch.cells) for batch in batches_of(only, 8)] == [5] * 8  # all processes have some
    assert [len(half.cells) for half in batches_of(only, 8)[0].halves()] == [2, 3]
    assert len(batches_of(cells_of(raw, [Knob("world.ctr", (0.1, 0.2))]), 1)) == 2
    assert batches_of([], 4) == []


def test_measures_are_sums_over_days_and_means_weighted_by_exposures() -> None:
    days = [
        {"arm": "c", "exposures": 100, "expected_clicks": 10.0, "auc": 0.6, "logloss": 0.3, "calibration": None},
        {"arm": "c", "exposures": 300, "expected_clicks": 20.0, "auc": 0.8, "logloss": None, "calibration": None},
        {"arm": "t", "exposures": 200, "expected_clicks": 30.0, "auc": 0.7, "logloss": 0.2, "calibration": 1.1},
        {"arm": "e", "exposures": 0, "expected_clicks": 0.0, "auc": None, "logloss": None, "calibration": None},
    ]
    control, treatment, empty = measured(days, "c")
    assert control["ctr"] == 30 / 400 and control["uplift"] == 0.0
    assert control["auc"] == pytest.approx(0.75) and control["logloss"] == 0.3 and np.isnan(control["calibration"])
    assert treatment["uplift"] == pytest.approx(0.15 / 0.075 - 1)
    assert np.isnan(empty["ctr"]) and np.isnan(empty["uplift"])


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    out = tmp_path_factory.mktemp("swept")
    return run_sweep(SweepPlan(small(), [ALPHA], range(1, 4)), out, Local(1), quiet=True)


def test_the_summary_is_of_the_seeds_uplifts(swept: Sweep) -> None:
    assert pd.read_csv(swept.out / "sweep.csv").equals(swept.rows)
    mine = swept.rows[(swept.rows["arm"] == "reloop") & (swept.rows[ALPHA.path] == 0.5)]
    line = swept.summary[(swept.summary["arm"] == "reloop") & (swept.summary[ALPHA.path] == 0.5)].iloc[0]
    apart = scipy.stats.ttest_1samp(mine["uplift"], 0)
    interval = apart.confidence_interval(0.95)
    np.testing.assert_allclose(line[["lo", "hi", "p"]].to_numpy(float), [interval.low, interval.high, apart.pvalue])
    assert line["seeds"] == 3 and line["ctr"] == pytest.approx(mine["ctr"].mean())
    same = swept.summary[(swept.summary["arm"] == "reloop") & (swept.summary[ALPHA.path] == 0)].iloc[0]
    assert (same["uplift"], same["lo"], same["hi"]) == (0, 0, 0)  # at alpha 0 ReLoop is cross-entropy


def test_one_cell_that_is_gone_is_the_one_that_is_made(swept: Sweep) -> None:
    files = sorted((swept.out / "cells").iterdir())
    assert [file.name for file in files] == [
        f"seed{seed}-arms.reloop.loss.alpha={alpha}.json" for seed in (1, 2, 3) for alpha in ("0.5", "0")
    ]
    before, told = (
        {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in files},
        (swept.out / "sweep.csv").read_bytes(),
    )
    files[3].unlink()
    run_sweep(SweepPlan(small(), [ALPHA], range(1, 4)), swept.out, Local(1), quiet=True)
    after = {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in files}
    assert [file for file in files if before[file] != after[file]] == [files[3]]
    assert after[files[3]][0] == before[files[3]][0] and (swept.out / "sweep.csv").read_bytes() == told


def test_a_study_grows_by_seeds_and_values_and_is_of_one_scenario(swept: Sweep) -> None:
    more = run_sweep(SweepPlan(small(), [ALPHA._replace(values=(0.5,))], [2]), swept.out, Local(1), quiet=True)
    pd.testing.assert_frame_equal(
        more.rows.reset_index(drop=True),
        swept.rows[(swept.rows["seed"] == 2) & (swept.rows[ALPHA.path] == 0.5)].reset_index(drop=True),
    )
    with pytest.raises(
        RunFolderError, match=r"its cells are of scenario.world.ctr 0.15, not 0.2; choose another --out"
    ):
        run_sweep(SweepPlan(small(world__ctr=0.2), [ALPHA], [1]), swept.out, Local(1), quiet=True)
    with pytest.raises(RunFolderError, match=r"its cells are of truth launch, not experiment"):
        run_sweep(SweepPlan(small(), [ALPHA], [1], "experiment"), swept.out, Local(1), quiet=True)


def test_the_truth_of_an_experiment_is_that_of_the_run(tmp_path: Path) -> None:
    raw = small(truth={"experiment": False, "launch": True})  # a cell has the truth that it needs, and no other
    plan = SweepPlan(raw, [ALPHA._replace(values=(0.5,))], [4], "experiment")
    found = run_sweep(plan, tmp_path / "s", Local(1), quiet=True)
    scenario = parse_scenario(in_world(with_values(small(), {ALPHA.path: 0.5}) | {"seed": {}}, 4))
    start_run(scenario, tmp_path / "run", command="", workers=1, quiet=True)
    results = compute(read_run(tmp_path / "run"))
    reloop = found.rows.set_index("arm").loc["reloop"]
    assert reloop["uplift"] == pytest.approx(results.truth["reloop"]["experiment"], abs=1e-12)
    for name in ("auc", "logloss", "calibration"):
        assert reloop[name] == pytest.approx(results.quality["reloop"][name])


def test_points_that_are_no_scenario_fail_alone_unless_all_are(tmp_path: Path) -> None:
    plan = SweepPlan(small(), [ALPHA._replace(values=(0.5, 2))], [1, 2])
    found = run_sweep(plan, tmp_path, Local(1), quiet=True)
    assert [failure.key for failure in found.failures] == [f"seed{seed}-arms.reloop.loss.alpha=2" for seed in (1, 2)]
    assert len(found.rows) == 4 and found.cells == 4
    with pytest.raises(
        ScenarioError,
        match=r"no point of the grid .*--grid arms.reloop.loss.alpha=2: arms\[1\].learner.loss.alpha: got 2",
    ):
        run_sweep(plan._replace(knobs=[ALPHA._replace(values=(2, 3))]), tmp_path, Local(1), quiet=True)
    with pytest.raises(ConfigError, match="--grid: a knob is given twice"):
        run_sweep(plan._replace(knobs=[ALPHA, ALPHA]), tmp_path, Local(1), quiet=True)


def test_without_a_grid_the_arms_are_compared_as_they_are(tmp_path: Path) -> None:
    found = run_sweep(SweepPlan(small(), [], [1, 2]), tmp_path, Local(1), quiet=True)
    assert list(found.rows.columns[:2]) == ["seed", "arm"] and sorted(
        file.stem for file in (tmp_path / "cells").iterdir()
    ) == ["seed1", "seed2"]
    with scratch(parse_scenario(small())) as folder:
        days = launch_all(parse_scenario(in_world(as_mapping(parse_scenario(small())), 2)), folder)
    clicks = {arm: sum(day.expected_clicks for day in days if day.arm == arm) for arm in ("control", "reloop")}
    shown = {arm: sum(day.exposures for day in days if day.arm == arm) for arm in clicks}
    ctr = {arm: clicks[arm] / shown[arm] for arm in clicks}
    (row,) = found.rows[(found.rows["seed"] == 2) & (found.rows["arm"] == "reloop")].to_dict("records")
    assert row["uplift"] == pytest.approx(ctr["reloop"] / ctr["control"] - 1, rel=1e-12)
    figure = draw(found)
    assert figure is not None
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["reloop"]


def test_a_rate_at_which_a_model_diverges_fails_and_the_others_of_its_batch_do_not(tmp_path: Path) -> None:
    raw = small(learner=DIVERGES_AT_10)
    rates = Knob("arms.reloop.optimizer.lr", (0.05, 10, 0.1))
    found = run_sweep(SweepPlan(raw, [rates], [1]), tmp_path, Local(1), quiet=True)
    (failure,) = found.failures
    assert failure.key == "seed1-arms.reloop.optimizer.lr=10" and failure.is_mistake
    assert failure.message.startswith("reloop: its predictions are no longer numbers")
    assert sorted(found.rows[rates.path].unique()) == [0.05, 0.1]


def test_one_knob_is_drawn_as_lines_with_bands_and_two_as_maps_around_0(swept: Sweep) -> None:
    figure = draw(swept)
    assert figure is not None
    (axes,) = figure.axes
    line = axes.get_lines()[1]
    drawn = swept.summary[swept.summary["arm"] == "reloop"]
    np.testing.assert_allclose(np.asarray(line.get_ydata(), float), drawn["uplift"])
    assert (
        list(axes.get_xticks()) == [0, 0.5] and axes.get_xlabel() == "reloop.loss.alpha" and len(axes.collections) == 1
    )

    names, rates = (
        Knob("learner.optimizer.name", ("adagrad", "sgd")),
        Knob("arms.*.learner.optimizer.lr", (0.1, 0.2, 0.4)),
    )
    rows = [
        {names.path: name, rates.path: rate, "arm": arm, "uplift": i * 0.01 - 0.03, "seed": 1}
        for i, (name, rate) in enumerate((name, rate) for name in names.values for rate in rates.values if rate != 0.4)
        for arm in ("control", "reloop")
    ]
    table = pd.DataFrame(rows)
    figure = draw(Sweep("s", "control", [names, rates], "launch", table, table, swept.out, 4, []))
    assert figure is not None
    image = figure.axes[0].get_images()[0]
    shown: np.ndarray = np.ma.filled(np.ma.asarray(image.get_array()), np.nan)
    np.testing.assert_allclose(shown.tolist(), [[-0.03, -0.02, np.nan], [-0.01, 0, np.nan]], atol=1e-12)
    assert image.get_clim() == (-0.03, 0.03)
    assert [text.get_text() for text in figure.axes[0].texts] == ["−3.0", "−2.0", "–", "−1.0", "+0.0", "–"]
    assert draw(Sweep("s", "control", [names, rates, ALPHA], "launch", table, table, swept.out, 4, [])) is None


@pytest.mark.slow
def test_two_processes_and_a_kill_9_give_the_same_tables_as_one_that_was_never_stopped(tmp_path: Path) -> None:
    path = small_file(tmp_path)
    said = [
        "sweep",
        path,
        "--grid",
        "arms.reloop.loss.alpha=0.2,0.4",
        "--grid",
        "arms.*.optimizer.lr=0.05,0.1",
        "--seeds",
        3,
    ]
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = start(*said, "--jobs", 2, "--out", killed)
    until = time.monotonic() + 120
    while not list(killed.glob("cells/*.json")) and time.monotonic() < until:
        time.sleep(0.02)
    assert process.poll() is None, "it ended before it could be killed"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    half = {file.name: file.stat().st_mtime_ns for file in killed.glob("cells/*.json")}
    assert 0 < len(half) < 12
    again, once = lab(*said, "--jobs", 1, "--out", killed), lab(*said, "--jobs", 1, "--out", whole)
    assert again.code == once.code == 0, again.err + once.err
    assert f"({12 - len(half)}/{12 - len(half)})" in again.err and "/min" in again.err
    assert all((killed / "cells" / name).stat().st_mtime_ns == made for name, made in half.items())
    assert (killed / "sweep.csv").read_bytes() == (whole / "sweep.csv").read_bytes()
    assert again.out.replace("killed", "whole") == once.out
    assert {file.name for file in whole.iterdir()} == {
        "cells",
        "study.yaml",
        "sweep.csv",
        "summary.csv",
        "sweep.svg",
        "sweep.png",
    }


def test_exit_codes_tell_a_failed_cell_from_a_mistake(tmp_path: Path) -> None:
    path = small_file(tmp_path)
    some = lab(
        "sweep", path, "--grid", "arms.reloop.loss.alpha=0.2,2", "--seeds", 1, "--jobs", 1, "--out", tmp_path / "s"
    )
    assert some.code == 1 and "study: " in some.out and "1 of 2 cells failed" in some.err
    none = lab("sweep", path, "--grid", "arms.reloop.loss.alpha=2", "--seeds", 1, "--jobs", 1, "--out", tmp_path / "s")
    assert none.code == 2 and none.err.startswith("error: no point of the grid is a scenario")
    assert lab("sweep", path, "--grid", "x", "--out", tmp_path / "s").code == 2
    none = lab("sweep", path, "--grid", "phases.ab_days=0", "--seeds", 1, "--out", tmp_path / "s")
    assert none.code == 2 and "a sweep measures days of A/B" in none.err
    replay = lab("sweep", "replay-movielens", "--grid", "seed.model=1,2", "--out", tmp_path / "r")
    assert replay.code == 2 and "a study needs a simulated one" in replay.err
    seeds = lab("sweep", path, "--grid", "x=1", "--first-seed", -1, "--out", tmp_path / "s")
    assert seeds.code == 2 and "--first-seed: got -1" in seeds.err


def test_ctrl_c_keeps_the_cell_that_is_being_made_and_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = LaunchBatch.make

    def interrupted(batch: LaunchBatch) -> Any:
        signal.raise_signal(signal.SIGINT)
        return whole(batch)

    monkeypatch.setattr(LaunchBatch, "make", interrupted)
    said = ["--grid", "world.ctr=0.1,0.2", "--seeds", 1, "--jobs", 1, "--out", tmp_path / "out"]
    done = lab("sweep", small_file(tmp_path), *said)
    assert done.code == 130 and done.out == "" and done.err.endswith("stopped; the same command goes on\n")
    assert [file.name for file in (tmp_path / "out" / "cells").iterdir()] == ["seed1-world.ctr=0.1.json"]


def test_a_long_table_is_cut_and_the_file_is_not(swept: Sweep) -> None:
    long = pd.concat([swept.summary] * 20)
    text = str(replace(swept, summary=long))
    assert len(text.splitlines()) == 62 and text.endswith("… 20 more in summary.csv")
