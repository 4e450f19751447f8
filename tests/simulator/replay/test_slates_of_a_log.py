"""A replay of logged slates: whole requests in the log, ranked by every arm, and read out by user."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tea_tasting as tt

from reloop_stream.codec.records import decode
from reloop_stream.events import ExposureBatch
from reloop_stream.log import open_log
from simulator.errors import RunFailed
from simulator.lab.run import resume_run, start_run
from simulator.readout import read_out
from simulator.readout.view import open_run
from simulator.replay.ranking import rank_slates, ranking_columns
from simulator.run_folder.tables import read_parquet
from simulator.scenario import Scenario
from simulator.world.draws import uniform
from tests.simulator.datasets.logged import TABLE, N, log_of
from tests.simulator.replay.described import scenario
from tests.simulator.replay.test_changed_data import stopped_after

pytestmark = pytest.mark.slow

SIZE = 4
TOP = [1, 3]


def slates() -> pd.DataFrame:
    """The log of the other tests as slates: four rows that follow each other are one user's at one time."""
    frame = log_of().sort_values("when", ignore_index=True)
    first = np.arange(N) // SIZE * SIZE
    of_slate = {name: frame[name].to_numpy()[first] for name in ("when", "who")}
    return frame.assign(**of_slate, slate=first + 1_000_000, place=np.arange(N) % SIZE)


@pytest.fixture
def data(tmp_path: Path) -> dict[str, Any]:
    slates().sample(frac=1, random_state=1).to_csv(tmp_path / "slates.csv", index=False)
    named = {"request": "slate", "position": "place", "top": TOP}
    return {"format": "csv", "path": str(tmp_path / "slates.csv"), **TABLE, **named}


def split(data: dict[str, Any]) -> Scenario:
    return scenario(data, experiment={"design": "split"})


def exposures(folder: Path) -> list[ExposureBatch]:
    with open_log(folder / "events") as log:
        reader = log.reader(log.begin_offsets(log.partitions(f"{folder.name}.exposures")))
        found = [d.batch for d in decode(reader.poll(1), "exposure", lambda record, reason: None)]
    return [batch for batch in found if isinstance(batch, ExposureBatch)]


def test_each_arm_ranks_every_slate_by_its_stamps_the_same_after_a_stop(data: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "whole"
    start_run(split(data), out, command="", workers=1, quiet=True)
    batches = exposures(out)
    shown = pd.concat(
        pd.DataFrame(
            {n: getattr(b, n) for n in ("exposure_id", "request_id", "user_id", "position", "n_candidates", "pctr")}
        )
        for b in batches
    ).sort_values("exposure_id")
    assert len(shown) == N and (shown["n_candidates"] == SIZE).all()
    assert shown["request_id"].tolist() == (np.arange(N) // SIZE * SIZE + 1_000_000).tolist()
    assert shown["position"].tolist() == (np.arange(N) % SIZE).tolist()

    users = pd.read_parquet(out / "users.parquet")
    daily = pd.read_csv(out / "daily.csv")
    assert users["requests"].sum() == daily["requests"].sum() == N // SIZE
    label = slates()["bought"].to_numpy()
    tie = uniform(1, "ranking/tie", np.arange(N))
    by_hand = rank_slates(shown["request_id"].to_numpy(), shown["pctr"].to_numpy(), label, tie, TOP)
    assert users[ranking_columns(TOP)].sum().to_numpy() == pytest.approx(by_hand.sums.sum(axis=0))

    for workers, calls in ((1, 9), (1, 6)):
        stopped = tmp_path / f"stopped{calls}"
        with pytest.raises(RunFailed):
            start_run(split(data), stopped, command="", workers=workers, quiet=True, should_stop=stopped_after(calls))
        resume_run(stopped, workers=workers, quiet=True)
        assert read_parquet(stopped / "users.parquet").equals(read_parquet(out / "users.parquet"))


def test_the_readout_has_ranking_by_day_and_arm_and_its_difference_to_the_control(
    data: dict[str, Any], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    start_run(split(data), out, command="", workers=1, quiet=True)
    results = read_out(out)
    found = json.loads((out / "results.json").read_text())["ranking"]
    users = pd.read_parquet(out / "users.parquet")
    ab = users[users["phase"] == "ab"].groupby(["arm", "user_id"], as_index=False).sum(numeric_only=True)
    reloop, control = (ab[ab["arm"] == arm] for arm in ("reloop", "control"))
    measured = found["measured"]["reloop"]
    assert measured["ctr_at_3"]["value"] == pytest.approx(reloop["clicks_at_3"].sum() / reloop["shown_at_3"].sum())
    assert measured["mrr"]["value"] == pytest.approx(reloop["reciprocal_rank"].sum() / reloop["clicked"].sum())
    # Users of two arms are independent: tea-tasting's ratio of means, but for its degrees of freedom.
    both = pd.concat([control, reloop]).assign(variant=lambda frame: (frame["arm"] == "reloop").astype(int))
    metric = tt.RatioOfMeans("ndcg_at_3", "clicked")
    said: Any = tt.Experiment(ndcg=metric).analyze(both, control=0)["ndcg"]
    ours = measured["ndcg_at_3"]["difference"]
    assert ours["mean"] == pytest.approx(said.effect_size)
    assert [ours["lo"], ours["hi"]] == pytest.approx([said.effect_size_ci_lower, said.effect_size_ci_upper], abs=0.004)
    assert found["measured"]["control"]["mrr"]["difference"] is None
    assert len(found["days"]) == 8 and "nDCG@3" in results.render()
    view = open_run(out)
    assert len(view.ranking) == 8 * 5 and "ranking" in view.plots
    assert (out / "plots" / "ranking.svg").exists() and "CTR@1" in (out / "report.html").read_text()


def test_arms_that_see_the_same_slates_rank_them_alike_until_they_part_and_are_compared_user_by_user(
    data: dict[str, Any], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    start_run(scenario(data), out, command="", workers=1, quiet=True)
    read_out(out)
    users = pd.read_parquet(out / "users.parquet")
    columns = [*ranking_columns(TOP), "requests"]
    control, reloop = (
        users[users["arm"] == arm].set_index(["day", "user_id"]).sort_index()[[*columns, "phase"]]
        for arm in ("control", "reloop")
    )
    together = control["phase"] != "ab"
    # In the warm-up every stamp is the same: the draws that decide are, too.
    assert control[together].equals(reloop[together]) and not control.equals(reloop)
    ndcg, clicked = (
        pd.concat([frame[name] for frame in (control[~together], reloop[~together])], axis=1).groupby("user_id").sum()
        for name in ("ndcg_at_3", "clicked")
    )
    ours = json.loads((out / "results.json").read_text())["ranking"]["measured"]["reloop"]["ndcg_at_3"]["difference"]
    means = ndcg.sum().to_numpy() / clicked.sum().to_numpy()
    assert ours["mean"] == pytest.approx(means[1] - means[0])
    # The delta method of a difference of two ratios over the same users.
    share = (ndcg.to_numpy() - means * clicked.to_numpy()) / clicked.mean().to_numpy()
    error = (share[:, 1] - share[:, 0]).std(ddof=1) / np.sqrt(len(share))
    assert (ours["hi"] - ours["lo"]) / 2 == pytest.approx(2.0 * error, rel=0.05)
