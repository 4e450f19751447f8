"""The paper's tables and figures from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.simulator.paper.made import libfm
from tests.simulator.runs import lab


def test_a_table_is_printed_and_kept(tmp_path: Path) -> None:
    said = ("paper", "table1", "--dataset", "movielens_tag", "--data", libfm(tmp_path / "x.libfm", 120))
    done = lab(
        *said,
        "--models",
        "lr",
        "--arms",
        "bce_scaled",
        "--seeds",
        2,
        "--alpha",
        0.3,
        "--out",
        tmp_path / "out",
        "--workers",
        1,
    )
    assert done.code == 0 and done.out == (tmp_path / "out" / "table1.md").read_text()
    assert "| (1−α)·LR | 0.3 |" in done.out
    assert "lr-bce-seed1: AUC" in done.err and "(4/4)" in done.err


@pytest.mark.parametrize(
    "more, message",
    [
        (["--models", "deepfn"], "--models: got 'deepfn', must be of lr, fm, nfm"),
        (["--arms", "kd,x"], "--arms: got 'x', must be of bce, bce_scaled, kd, reloop"),
        (["--data", "nowhere"], "nowhere: no such file or folder"),
        (["--p-last", "serving"], "--p-last serving: movielens_tag does not say when"),
        (["--alpha", "1"], "--alpha: got 1, must be in (0, 1)"),
        (["--tune", "0"], "--tune: got 0, must be a whole number"),
        (["--dataset", "movielens"], "invalid choice: 'movielens'"),
    ],
)
def test_a_mistake_exits_with_2_and_leaves_nothing(tmp_path: Path, more: list[str], message: str) -> None:
    out = tmp_path / "out"
    said = ["--dataset", "movielens_tag", "--data", str(libfm(tmp_path / "x.libfm", 50)), "--out", str(out)]
    done = lab("paper", "table1", *said, *more)
    assert done.code == 2 and message in done.err and not out.exists()


def test_alphas_and_pictures_that_cannot_be_are_mistakes(tmp_path: Path) -> None:
    said = ("paper", "figure3", "--dataset", "movielens_tag", "--data", libfm(tmp_path / "x.libfm", 50))
    assert "--alphas: got 2, must be in (0, 1)" in lab(*said, "--alphas", "0.1,2").err
    done = lab(*said, "--picture", "x.pdf")
    assert done.code == 2 and "--picture: got x.pdf, must end in .svg or .png" in done.err
