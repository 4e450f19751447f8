"""Table 1: which cells it has, what tuning chooses, and what it says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from simulator.errors import DataError, RunFolderError
from simulator.paper.cells import Cell, CellFolder, Job
from simulator.paper.table1 import TUNING_SEEDS, Jobs, Plan, label_of, markdown, rows_of, table_1
from tests.rooms import ROOT
from tests.simulator.paper.made import libfm, published
from tests.simulator.runs import lab, start

ARMS = {"lr": ["bce"], "fm": ["bce", "kd", "reloop"]}


def plan(path: Path | str = "", *, tune: int = 1, alpha: float | None = None, seeds: int = 2) -> Plan:
    return Plan("movielens_tag", str(path), "in_sample", ARMS, seeds, alpha, tune)


def cell(model: str, arm: str, seed: int, auc: float, alpha: float = 0.0, valid_auc: float = 0.5) -> Cell:
    return Cell(model, arm, alpha, seed, 0.01, 0.0, 1e-3, valid_auc, auc, 1 - auc, 2.0)


def test_arms_are_tried_as_often_on_the_same_settings_and_the_best_by_validation_is_in_the_table(
    tmp_path: Path,
) -> None:
    folder = CellFolder(tmp_path, {})
    jobs = Jobs(plan(tune=3), folder, TUNING_SEEDS)
    for stage in (jobs.plain_trials, jobs.other_trials):
        for job in stage():
            assert job.trial is not None
            # By the sum over seeds trial 1 is best; by one seed alone trial 2 is.
            valid_auc = {0: 0.6, 1: 0.7, 2: 0.8 if job.seed == TUNING_SEEDS[0] else 0.5}[job.trial]
            folder.keep(job, cell(job.model, job.arm or "", job.seed, 0.9 - valid_auc, job.alpha, valid_auc))
    tried: dict[tuple[str, str | None], list[object]] = {}
    for job in [*jobs.plain_trials(), *jobs.other_trials()]:
        tried.setdefault((job.model, job.arm), []).append((job.recipe, job.trial, job.seed))
    assert {len(found) for found in tried.values()} == {3 * len(TUNING_SEEDS)}
    assert tried["fm", "bce"] == tried["fm", "kd"] == tried["fm", "reloop"]
    chosen = jobs.cells()
    assert [(job.model, job.arm, job.seed) for job in chosen[:4]] == [
        ("lr", "bce", 1), ("lr", "bce", 2), ("fm", "bce", 1), ("fm", "bce", 2),
    ]  # fmt: skip
    second = next(job for job in jobs.other_trials() if job.trial == 1)
    assert all(job.recipe == second.recipe and job.alpha == second.alpha for job in chosen[4:])
    assert all(job.last == second.recipe for job in jobs.previous())
    stages = (jobs.plain_trials, jobs.previous, jobs.other_trials, jobs.cells)
    assert jobs.total == sum(len(stage()) for stage in stages)


def test_a_fixed_alpha_is_not_tuned(tmp_path: Path) -> None:
    jobs = Jobs(plan(tune=5, alpha=0.4), CellFolder(tmp_path, {}), (1,))
    for job in jobs.plain_trials():
        jobs._folder.keep(job, cell(job.model, "bce", 1, 0.5))
    assert {job.alpha for job in jobs.other_trials()} == {0.4}


def test_rows_are_beside_their_own_backbone_and_what_was_published() -> None:
    plain = [cell("deepfm", "bce", seed, 0.97 + seed / 1000) for seed in (1, 2, 3)]
    better = [cell("deepfm", "reloop", seed, 0.98 + seed / 900, 0.2) for seed in (1, 2, 3)]
    other = [cell("lr", "bce", seed, 0.9) for seed in (1, 2, 3)]
    rows = rows_of([*other, *plain, *better], test_share=0.0)
    gain = rows[2].auc_gain
    assert gain is not None and gain.mean == pytest.approx(0.01 + 2 / 900 - 2 / 1000) and rows[2].p_auc == gain.p
    assert rows[0].auc_gain is None and rows[1].auc_gain is None
    lines = markdown("frappe", rows).splitlines()
    assert lines[2].startswith("| LR |  | 0.9000 ± 0.0000 | 0.1000 ± 0.0000 |")
    assert lines[3].endswith("| 0.9719 / 0.2108 | 0.9842 / 0.1482 |")
    assert lines[4].startswith("| RLP+DeepFM | 0.2 |") and lines[4].endswith("| 0.9848 / 0.1549 |  |")
    assert label_of(rows[2].cells[0]) == "RLP+DeepFM" and "BARS" not in markdown("ml_tags", rows)


def test_the_table_of_one_folder_grows_and_that_of_another_protocol_is_refused(tmp_path: Path) -> None:
    path = published(tmp_path)
    out = tmp_path / "out"
    few = table_1(plan(path, seeds=1), out, workers=1, quiet=True)
    more = table_1(plan(path, seeds=2), out, workers=1, quiet=True)
    assert [row.cells[0] for row in more] == [row.cells[0] for row in few]  # seconds and all: not trained again
    frame = pd.read_csv(out / "table1.csv")
    assert list(frame) == ["dataset", "model", "arm", "alpha", "seed", "auc", "logloss", "seconds"]
    assert len(frame) == 8 and (frame["seed"].value_counts() == 4).all()
    assert (out / "table1.md").read_text() == f"{markdown('movielens_tag', more)}\n"
    with pytest.raises(RunFolderError, match=r"its cells are of tune 1, not 2; choose another --out"):
        table_1(plan(path, tune=2), out, workers=1, quiet=True)
    with pytest.raises(DataError, match="--p-last serving: movielens_tag does not say when its rows happened"):
        table_1(plan(path)._replace(source="serving"), tmp_path / "other", quiet=True)


@pytest.mark.slow
def test_kill_9_and_the_same_command_gives_the_uninterrupted_table(tmp_path: Path) -> None:
    libfm(tmp_path / "tags.libfm", 400)
    said = [sys.executable, "-m", "simulator", "paper", "table1", "--dataset", "movielens_tag", "--models", "fm"]
    said += ["--data", str(tmp_path / "tags.libfm"), "--seeds", "1", "--workers", "2", "--tune", "2", "--out"]

    def cells(folder: Path) -> list[Path]:
        return list((folder / "cells").glob("*.json"))

    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = subprocess.Popen([*said, str(killed)], cwd=ROOT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while len(cells(killed)) < 5 and time.monotonic() < until:
        time.sleep(0.02)
    assert process.poll() is None, "it ended before it could be killed"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    half = {path.name: path.read_bytes() for path in cells(killed)}
    assert 5 <= len(half) < 20 and all(json.loads(one) for one in half.values())
    subprocess.run([*said, str(killed)], cwd=ROOT, check=True, capture_output=True)
    done = lab(*said[3:-1], "--workers", 1, "--quiet", "--out", whole)  # the last of each flag counts
    assert done.code == 0, done.err
    assert all((killed / "cells" / name).read_bytes() == was for name, was in half.items())
    one, other = (pd.read_csv(folder / "table1.csv").drop(columns="seconds") for folder in (killed, whole))
    pd.testing.assert_frame_equal(one, other)


@pytest.mark.slow
def test_ctrl_c_keeps_what_was_trained_and_says_how_to_go_on(tmp_path: Path) -> None:
    libfm(tmp_path / "tags.libfm", 400)
    said = [
        "--dataset",
        "movielens_tag",
        "--data",
        tmp_path / "tags.libfm",
        "--out",
        tmp_path / "out",
        "--workers",
        "1",
    ]
    process = start("paper", "table1", "--models", "fm", "--tune", "9", *said)
    until = time.monotonic() + 120
    while not list(tmp_path.glob("out/cells/*.json")) and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=120)
    assert process.returncode == 130 and told.endswith("stopped; the same command goes on\n")
    assert not (tmp_path / "out" / "table1.csv").exists()


def test_cells_that_a_job_names_differ_by_all_that_a_cell_is_made_of(tmp_path: Path) -> None:
    jobs = Jobs(plan(tune=3), CellFolder(tmp_path, {}), (1,))
    trials = jobs.plain_trials()
    base: Job = trials[0]
    others = [
        *trials[1:],
        base.previous,
        base._replace(arm="kd"),
        base._replace(arm="kd", alpha=0.3),
        base._replace(trial=None),
    ]
    assert len({job.key for job in [base, *others]}) == 1 + len(others)
