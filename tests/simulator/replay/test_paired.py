"""Paired replays: every arm has every event once, and learns it as if it were alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from reloop_stream.codec.records import decode
from reloop_stream.events import ExposureBatch
from reloop_stream.log import open_log
from simulator.lab.run import start_run
from simulator.readout import read_out
from simulator.readout.differences import differences
from simulator.readout.view import RunView
from simulator.run_folder.manifest import read_manifest
from simulator.run_folder.reader import read_run
from tests.simulator.datasets.logged import N, log_of, write
from tests.simulator.replay.described import scenario

pytestmark = pytest.mark.slow

WAYS: dict[str, dict[str, Any]] = {
    "incremental": {"batch_size": 32},
    "window": {"mode": "window", "days": 1.2, "every_hours": 12},
    "fine_tune": {"mode": "fine_tune", "every_hours": 12},
    "replay": {"mode": "replay", "batch_size": 16, "capacity": 40, "replayed": 8},
}


def run(folder: Path, data: dict[str, Any], arms: dict[str, dict[str, Any]], workers: int = 1, **more: Any) -> Path:
    """A replay of these arms: name → learner."""
    described = scenario(data, arms=[{"name": name, "learner": learner} for name, learner in arms.items()], **more)
    start_run(described, folder, command="", workers=workers, quiet=True)
    return folder


def exposures(folder: Path) -> pd.DataFrame:
    """Every exposure in a run's log, with its partition."""
    columns = ("exposure_id", "request_id", "event_time_ms", "user_id", "arm", "pctr", "model_version")
    with open_log(folder / "events") as log:
        reader = log.reader(log.begin_offsets(log.partitions(f"{folder.name}.exposures")))
        items = list(decode(reader.poll(1, 10_000), "exposure", lambda record, reason: None))
    return pd.concat(
        pd.DataFrame({name: getattr(item.batch, name) for name in columns} | {"partition": item.partition.number})
        for item in items
        if isinstance(item.batch, ExposureBatch)
    )


def versions(folder: Path) -> dict[tuple[str, int], int]:
    """Learner and version → the watermark up to which it was trained, as announced."""
    with open_log(folder / "events") as log:
        reader = log.reader(log.begin_offsets(log.partitions(f"{folder.name}.snapshots")))
        said = [json.loads(record.value) for record in reader.poll(1, 10_000)]
    return {(one["learner"], one["version"]): one["watermark_ms"] for one in said}


@pytest.fixture(scope="module")
def paired(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("paired")
    arms: dict[str, dict[str, Any]] = {
        "control": {},
        "reloop": {"loss": {"name": "reloop", "alpha": 0.5}},
        "lr": {"model": {"name": "lr"}},
    }
    return run(folder / "run", write(folder, "csv"), arms, log={"retention": "all"})


def test_every_arm_has_every_event_once_under_an_id_of_its_own(paired: Path) -> None:
    shown = exposures(paired)
    assert len(shown) == 3 * N == shown["exposure_id"].nunique()
    assert (shown.groupby("arm")["partition"].nunique() == 1).all()
    for _, copies in shown.groupby("request_id"):
        assert sorted(copies["arm"]) == ["control", "lr", "reloop"]
        assert copies["user_id"].nunique() == copies["event_time_ms"].nunique() == 1
    daily = pd.read_csv(paired / "daily.csv")
    per_day = daily.groupby("day")[["users", "requests", "exposures", "clicks", "ctr"]].nunique()
    assert (per_day == 1).all(axis=None) and daily["exposures"].sum() == 3 * N
    measured = [name for name in daily.columns if "logloss" in name or "auc" in name or "calibration" in name]
    before = daily[daily["day"] == 0].set_index("arm")[measured]  # one learner, whose predictions are everybody's
    assert before["progressive_logloss"].notna().all() and (before.nunique() <= 1).all()


def test_the_arms_stamps_are_the_same_until_a_b_and_their_own_from_then_on(paired: Path) -> None:
    stamps = exposures(paired).pivot(index="request_id", columns="arm", values="pctr").sort_index()
    before = stamps.index < N // 2  # a day of warm-up and one of A/A, of four
    assert (stamps[before].nunique(axis=1) == 1).all()
    after = stamps[~before].iloc[50:]  # the first tick of A/B is still served by the control learner's last version
    assert (after["control"] != after["reloop"]).all() and (after["control"] != after["lr"]).all()


def test_no_version_that_stamps_has_seen_a_label_of_what_it_stamps(paired: Path) -> None:
    """Stamp, reveal the label after its delay, learn: a version knows labels up to its watermark, and no label is revealed
    before its exposure's time."""
    trained_to = versions(paired)
    stamped = exposures(paired).query("model_version > 0")
    # In the first tick of A/B the control learner's last version still serves.
    by_itself = stamped["request_id"] >= N // 2 + 50
    learner = np.where(by_itself, stamped["arm"], "control-learner")
    used = list(zip(learner.tolist(), stamped["model_version"].tolist(), strict=True))
    assert all(trained_to[one] <= at for one, at in zip(used, stamped["event_time_ms"].tolist(), strict=True))
    # And nothing is held back longer than it must be: a new version serves in every tick after the warm-up.
    assert len(used) > 3 * N / 2 and len({*used}) == 4 + 3 * 5


def test_the_readout_says_how_the_arms_differ_by_day_and_in_all(paired: Path) -> None:
    view = RunView(read_out(paired))
    found = json.loads((paired / "results.json").read_text())
    assert (
        found["uplift"]["lr"] == dict.fromkeys(("raw", "ab_minus_aa", "cuped", "headline")) and found["srm_p"] is None
    )
    label = log_of().sort_values("when")["bought"].to_numpy()
    pctr = exposures(paired).pivot(index="request_id", columns="arm", values="pctr").sort_index()
    loss = -np.log(np.where(label[:, None] == 1, pctr, 1 - pctr))
    apart = pd.DataFrame(loss[:, 1:] - loss[:, :1], columns=["lr", "reloop"])
    for arm in ("lr", "reloop"):
        whole, days = (found[f"difference_of_quality{what}"][arm]["logloss"] for what in ("", "_by_day"))
        assert whole["mean"] == pytest.approx(apart[arm][N // 2 :].mean()) and whole["lo"] < whole["mean"] < whole["hi"]
        assert [day["mean"] for day in days] == pytest.approx(apart[arm].groupby(np.arange(N) // 150).mean().tolist())
        assert days[1]["mean"] == days[1]["lo"] == days[1]["hi"] == 0  # A/A
        assert [day["so_far"] is None for day in days] == [True, True, False, False]
        assert days[2]["so_far"]["mean"] == days[2]["mean"] and days[3]["so_far"] == whole
    frame = view.daily_differences.set_index(["treatment", "metric", "day"])
    assert len(frame) == 2 * 3 * 4 and frame.loc[("lr", "auc", 3), "phase"] == "ab"
    assert view.differences.loc[("lr", "logloss"), "lo"] == found["difference_of_quality"]["lr"]["logloss"]["lo"]
    assert len(view.blocks) == 3 * 4 * 3 and view.plots == ["difference", "quality", "reliability"]
    assert view.uplift.empty


def test_a_day_that_one_arm_alone_has_finished_is_compared_with_nothing(paired: Path) -> None:
    run = read_run(paired)
    whole = differences(run)["lr"]["logloss"]
    is_last = pa.compute.and_(pa.compute.equal(run.daily["arm"], "lr"), pa.compute.equal(run.daily["day"], 3))
    stopped = differences(replace(run, daily=run.daily.filter(pa.compute.invert(is_last))))
    assert stopped["lr"]["logloss"].whole == whole.days[2].so_far and len(stopped["lr"]["logloss"].days) == 3
    assert len(stopped["reloop"]["logloss"].days) == 4


def test_the_report_of_a_paired_replay_says_the_ctr_once_and_has_a_row_a_day_and_treatment_that_differ(
    paired: Path,
) -> None:
    results = read_out(paired)
    page, said = (paired / "report.html").read_text(), results.render()
    ctr = log_of().sort_values("when")["bought"][N // 2 :].mean()
    note = f"every arm saw the same {N // 2} events (CTR {ctr:.2%} in each)"
    assert note in page and note in said and "sample ratio" not in page.lower() and "uplift of" not in said
    table = page.split("Differences by day</summary>")[1].split("</table>")[0]
    assert table.count('<tr><th scope="row">') == table.count("A/B") == 2 * 2  # those of A/B
    assert (
        "lr&#39;s log loss differs from control" in page
        and "lr - control, of the stamps (95% intervals across blocks of time):" in said
    )
    assert said.splitlines()[0].startswith("log loss of the stamps by day: control's")


@pytest.mark.parametrize("aa", ["control", "own"])
def test_every_arm_learns_what_a_replay_of_it_alone_would(tmp_path: Path, aa: str) -> None:
    """Whatever is read or counted together in A/A and taken over at the fork: each event is learnt once, windows are whole.

    With one learner for all in A/A an arm's stamps are others there, which cross-entropy does not look at.
    """
    data = write(tmp_path, "csv")
    ways = {name: {"updating": updating} for name, updating in WAYS.items()}
    out = run(tmp_path / "together", data, ways, experiment={"aa": aa})
    together, days = read_manifest(out).digests, pd.read_csv(out / "daily.csv")
    assert together is not None and len({*together.values()}) == len(WAYS)
    for name, learner in ways.items():
        alone = run(tmp_path / name, data, {name: learner})
        assert read_manifest(alone).digests == {name: together[name]}
        if aa == "own":
            assert pd.read_csv(alone / "daily.csv").equals(days[days["arm"] == name].reset_index(drop=True))


def test_arms_that_are_alike_stay_alike_through_the_fork(tmp_path: Path) -> None:
    data = write(tmp_path, "csv")
    learner = {"updating": WAYS["window"], "loss": {"name": "reloop", "alpha": 0.5}}
    out = run(tmp_path / "run", data, {"a": learner, "b": learner}, workers=2)
    digests, daily = read_manifest(out).digests, pd.read_csv(out / "daily.csv")
    assert digests is not None and digests["a"] == digests["b"]
    a, b = (daily.loc[daily["arm"] == arm, ["auc", "logloss"]].to_numpy() for arm in ("a", "b"))
    assert np.array_equal(a, b, equal_nan=True)
