"""Judging a policy from the command line: a table of one's own, a run's log, and what is wrong with either."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from simulator.readout.statistics.off_policy import LoggedPolicy, estimators, snips
from simulator.run_folder.events import read_shown
from simulator.run_folder.reader import read_run
from tests.simulator.runs import lab

ROLES = ("--q-logged", "q", "--q-target", "qt", "--user", "who")


def table(n: int = 300) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    p = rng.uniform(0.1, 0.9, n)
    return pd.DataFrame(
        {
            "reward": (rng.random(n) < 0.4).astype(int),
            "propensity": p,
            "target": np.minimum(p * rng.uniform(0.5, 1.5, n), 1.0),
            "q": rng.uniform(0.2, 0.6, n),
            "qt": rng.uniform(0.2, 0.6, n),
            "who": [f"u{i}" for i in rng.integers(0, 60, n)],
        }
    )


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_table_of_one_s_own_is_judged_as_the_library_does(tmp_path: Path, kind: str) -> None:
    frame, path = table(), tmp_path / f"log.{kind}"
    frame.to_csv(path, index=False) if kind == "csv" else frame.to_parquet(path)
    done = lab("off-policy", path, *ROLES, "--clip", 1.2, "--switch", 1.1, "--json")
    assert done.code == 0, done.err
    columns = (frame[name].to_numpy(float) for name in ("reward", "propensity", "target", "q", "qt"))
    log = LoggedPolicy(*columns, cluster=frame["who"].to_numpy(object))  # type: ignore[misc]
    (found,) = json.loads(done.out)["policies"].values()
    for name, value in estimators(log, 1.2, 1.1).items():
        said = found["values"][name]
        assert [said["estimate"], said["lo"], said["hi"], said["ess"]] == pytest.approx(value[:4]), name
        assert said["n"] == 300 and said["cut"] == value.cut > 0


def test_a_table_is_shown_for_people_with_what_was_clipped(tmp_path: Path) -> None:
    table().to_csv(tmp_path / "log.csv", index=False)
    done = lab("off-policy", tmp_path / "log.csv", "--clip", 1.2)
    assert done.code == 0 and "weights are clipped to 1.2" in done.out and "doubly robust" not in done.out
    frame = table()
    frame["propensity"] /= 3
    frame.to_csv(tmp_path / "log.csv", index=False)
    assert "note: the propensities do not fit target" in lab("off-policy", tmp_path / "log.csv").out


@pytest.mark.parametrize(
    "column, value, message",
    [
        ("propensity", 0, r"column 'propensity' holds 0 in row 5 (line 6)"),
        ("propensity", 1.01, "column 'propensity' holds 1.01 in row 5 (line 6), the probability of what was logged"),
        ("propensity", "nan", "column 'propensity' holds text, a probability is a number: 'nan' in row 5"),
        ("target", -0.1, "column 'target' holds -0.1 in row 5 (line 6), a probability lies in [0, 1]"),
        ("reward", "yes", "column 'reward' holds text, --reward needs numbers: 'yes' in row 5"),
    ],
)
def test_a_cell_that_cannot_be_is_named(tmp_path: Path, column: str, value: float | str, message: str) -> None:
    frame = table()
    frame[column] = [value if row == 4 else cell for row, cell in enumerate(frame[column])]
    frame.to_csv(tmp_path / "log.csv", index=False)
    done = lab("off-policy", tmp_path / "log.csv")
    assert done.code == 2 and message in done.err and "Traceback" not in done.err


def test_what_is_asked_wrongly_is_exit_code_2_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    table().to_csv(path, index=False)
    (tmp_path / "empty").mkdir()
    for words, message in (
        ([path, "--target", "new"], "has no column 'new'; it has reward, propensity"),
        ([path, "--target", "new"], "the flags --reward, --propensity, --target say which"),
        ([path, "--q-logged", "q"], "give both, or none"),
        ([tmp_path / "nothing"], "no such file or folder"),
        ([tmp_path / "empty"], "is no run folder"),
        ([path, "--clip", "0"], "must be a number above 0"),
    ):
        done = lab("off-policy", *words)
        assert done.code == 2 and message in done.err, done.err


@pytest.mark.slow
def test_a_run_s_own_log_judges_the_policy_that_shows_items_at_random(whole: Callable[..., Path]) -> None:
    softmax, quick_clicks = (
        "serving.policy={name: softmax, temperature: 1.0}",
        "world.delay={median_minutes: 1, sigma: 0.5}",
    )
    folder = whole("log.retention=all", softmax, quick_clicks, "world.users.n=600")
    done = lab("off-policy", folder, "--json")
    assert done.code == 0, done.err
    shown = read_shown(read_run(folder))
    daily = pd.read_csv(folder / "daily.csv")
    assert len(shown.arm) == daily["exposures"].sum() and shown.click.sum() == daily["clicks"].sum()
    for arm in ("control", "reloop"):
        found = json.loads(done.out)["policies"][f"random, by the log of {arm}"]
        mine = shown.arm == arm
        weight = 1 / (shown.n_candidates - shown.position)[mine] / shown.propensity[mine]
        by_hand = LoggedPolicy(
            shown.click[mine].astype(float), np.ones(mine.sum()), weight, cluster=shown.user_id[mine]
        )
        assert found["values"]["snips"]["estimate"] == pytest.approx(snips(by_hand).estimate)
        # The world is calibrated to this CTR under random slates, by a sample of one day.
        lo, hi = (found["values"]["ips"][end] for end in ("lo", "hi"))
        assert lo - 0.01 < 0.15 < hi + 0.01 and found["mean_weight"]["p"] > 0.001
    assert lab("off-policy", folder, "--user", "x").code == 2


@pytest.mark.slow
def test_a_run_that_let_go_of_its_events_says_what_to_set(whole: Callable[..., Path]) -> None:
    done = lab("off-policy", whole())
    assert done.code == 2 and "--set log.retention=all" in done.err
