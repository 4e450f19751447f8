"""Replays as runs: the same with any number of workers, and no look ahead."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from reloop_stream.codec.records import decode
from reloop_stream.events import ExposureBatch
from reloop_stream.log import open_log
from simulator.lab.run import start_run
from simulator.readout import read_out
from tests.simulator.datasets.logged import TABLE, N, log_of, write
from tests.simulator.replay.described import scenario
from tests.simulator.runs import outcome

pytestmark = pytest.mark.slow


def test_a_replay_runs_through_the_whole_harness_the_same_with_two_workers(tmp_path: Path) -> None:
    data = write(tmp_path, "csv")
    outcomes = []
    for workers in (1, 2):
        out = tmp_path / f"run{workers}"
        watched = {"updating": {"batch_size": 32}, "monitor": {"block": 10}}
        start_run(scenario(data, learner=watched), out, command="", workers=workers, quiet=True)
        outcomes.append(outcome(out))
    assert (
        outcomes[0] == outcomes[1] and outcomes[0][3]["blocks.csv"].count(b"\n") == 1 + 2 * 4 * 3
    )  # arms, days, ticks of a day
    daily = pd.read_csv(out / "daily.csv")
    assert (daily.groupby("arm")["exposures"].sum() == N).all()
    assert (daily.groupby("arm")["clicks"].sum() == log_of()["bought"].sum()).all()
    assert set(daily["phase"]) == {"warmup", "aa", "ab"}
    results = read_out(out)
    found = json.loads((out / "results.json").read_text())
    assert found["uplift"]["reloop"]["cuped"] is None and found["truth"]["reloop"]["experiment"] is None
    assert found["difference_of_quality"]["reloop"]["logloss"]["mean"] is not None
    assert any("no uplift in CTR" in note for note in results.notes)
    times = pd.read_csv(out / "monitor.csv")["time"]
    assert times.min() > 0 and times.max() == 4 and (out / "plots" / "monitor.svg").exists()


def test_split_users_are_a_choice(tmp_path: Path) -> None:
    out = tmp_path / "run"
    start_run(scenario(write(tmp_path, "csv"), experiment={"design": "split"}), out, command="", workers=1, quiet=True)
    assert pd.read_csv(out / "daily.csv")["exposures"].sum() == N
    assert (pd.read_parquet(out / "users.parquet").groupby("user_id")["arm"].nunique() == 1).all()
    assert any("no uplift in CTR" in note for note in read_out(out).notes)


def test_no_stamp_knows_its_own_label(tmp_path: Path) -> None:
    """Turning the last tick's labels round changes no stamp: only what came before a tick has been learnt."""
    stamps = []
    for turned in (False, True):
        frame = log_of().sort_values("when")
        if turned:
            frame["bought"] = frame["bought"].where(np.arange(N) < N - 50, 1 - frame["bought"])
        frame.to_csv(tmp_path / "log.csv", index=False)
        out = tmp_path / f"turned{turned}"
        start_run(
            scenario({"format": "csv", "path": str(tmp_path / "log.csv"), **TABLE}),
            out,
            command="",
            workers=1,
            quiet=True,
        )
        with open_log(out / "events") as log:
            reader = log.reader(log.begin_offsets(log.partitions(f"{out.name}.exposures")))
            batches = [d.batch for d in decode(reader.poll(1), "exposure", lambda record, reason: None)]
        stamps.append(
            {
                i: p
                for b in batches
                if isinstance(b, ExposureBatch)
                for i, p in zip(b.exposure_id.tolist(), b.pctr.tolist())
            }
        )
    assert stamps[0] == stamps[1] and len(stamps[0]) == 2 * N and len(set(stamps[0].values())) > 100


def test_rows_that_cannot_be_read_are_named_in_the_run_folder(tmp_path: Path) -> None:
    data = {**write(tmp_path, "csv"), "bad_rows": 0.01}
    with open(data["path"], "a") as file:
        file.write("1,i1,soon,1,1\n")
    out = tmp_path / "run"
    start_run(scenario(data), out, command="", workers=1, quiet=True)
    (told,) = pd.read_csv(out / "bad_rows.csv")["reason"]
    assert f"column 'when' holds text, data.time_unit: s needs numbers (or set iso): 'soon' in row {N + 1}" in told
    assert not (out / "rows").exists()
