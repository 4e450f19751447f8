"""The arms of a replay as policies: what is written is what their models make of every item of the catalogue."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from reloop_stream.config import FieldConfig, LearnerConfig
from reloop_stream.events import take_column
from reloop_stream.learners import make_learner
from simulator.datasets.read import open_source
from simulator.errors import DataError, RunFailed, ScenarioError
from simulator.lab.run import resume_run, start_run
from simulator.readout import read_out
from simulator.readout.view import open_run
from simulator.replay.policy_judge import score_catalogue
from simulator.run_folder.tables import read_parquet
from tests.simulator.datasets.bandit import ITEMS, ROWS, bandit_log, write_bandit
from tests.simulator.datasets.logged import TABLE, log_of, parsed, read, write
from tests.simulator.replay.described import scenario
from tests.simulator.replay.test_changed_data import stopped_after
from tests.simulator.runs import lab

FIELDS = ["item_id", "user_feature_0", "item_feature_1"]
SOFTMAX = {"policy": {"name": "softmax", "temperature": 0.7}, "random_share": 0.1, "deploy_delay_hours": 0}


def asked(folder: Path, **data: Any) -> Any:
    return scenario(
        {**write_bandit(folder), "off_policy": {"switch": 3}, "period_events": None, **data},
        features=[{"name": name, "buckets": 64} for name in FIELDS],
        serving=SOFTMAX,
    )


@pytest.mark.parametrize("with_pairs", [False, True])
def test_the_whole_catalogue_is_scored_as_if_each_item_had_been_shown(tmp_path: Path, with_pairs: bool) -> None:
    data = write_bandit(tmp_path)
    rows, catalogue = read(data), open_source(parsed(data)).catalogue
    names = [*FIELDS, *(["affinity"] if with_pairs else [])]
    fields = [FieldConfig(name=n, buckets=64) if n != "affinity" else FieldConfig(name=n, kind="number") for n in names]
    config = LearnerConfig.model_validate({"model": {"name": "fm", "embedding": 4, "init_scale": 0.5}})
    model = make_learner(config, fields, name="m", seed=1, base_rate=0.2).publish()
    assert catalogue is not None
    scores = score_catalogue(model, rows, catalogue, names)
    assert scores.shape == (ROWS, ITEMS) and scores.std() > 0.001
    for item in range(ITEMS):
        of_item = np.full(ROWS, item)
        features = {name: rows.features[name] for name in names}
        features |= {n: take_column(c, of_item) for n, c in catalogue.features.items() if n in names}
        features |= {n: values[:, item] for n, values in rows.pairs.items() if n in names}
        assert np.allclose(scores[:, item], model.predict(features), atol=1e-6)


@pytest.mark.slow
def test_each_arm_is_judged_by_the_log_s_propensities_and_the_same_after_a_stop(tmp_path: Path) -> None:
    out = tmp_path / "whole"
    start_run(asked(tmp_path), out, command="", workers=1, quiet=True)
    judged = pd.read_parquet(out / "off_policy.parquet")
    log, _ = bandit_log()
    daily = pd.read_csv(out / "daily.csv").query("phase != 'warmup'")
    assert len(judged) == daily["exposures"].sum() and set(judged["arm"]) == {"control", "reloop"}
    assert judged["click"].sum() == daily["clicks"].sum()
    assert set(judged["propensity"]) <= set(log["propensity_score"])
    assert judged["target"].between(0.1 / ITEMS, 1).all()
    assert daily["requests"].tolist() == daily["exposures"].tolist()  # each row was logged for itself
    results = read_out(out)
    found = json.loads((out / "results.json").read_text())["off_policy"]
    assert found["switch"] == 3 and found["clip"] is None
    ab = judged[(judged["phase"] == "ab") & (judged["arm"] == "reloop")]
    weight = ab["target"] / ab["propensity"]
    reloop = found["policies"]["reloop"]
    assert reloop["values"]["ips"]["estimate"] == pytest.approx((weight * ab["click"]).mean())
    residual = (weight * (ab["click"] - ab["q_logged"])).where(weight <= 3, 0.0)
    assert reloop["values"]["switch_dr"]["estimate"] == pytest.approx((ab["q_target"] + residual).mean())
    assert reloop["difference"]["ips"]["p"] is not None and not found["policies"]["control"]["difference"]
    assert "switch-DR switches above 3" in results.render()
    assert "The arms as policies" in (out / "report.html").read_text()
    assert open_run(out).off_policy.loc[("reloop", "ips"), "estimate"] == reloop["values"]["ips"]["estimate"]
    again = lab("off-policy", out, "--switch", 2, "--json")
    assert again.code == 0 and json.loads(again.out)["switch"] == 2

    for workers in (1, 2):
        stopped = tmp_path / f"stopped{workers}"
        with pytest.raises(RunFailed):
            start_run(asked(tmp_path), stopped, command="", workers=workers, quiet=True, should_stop=stopped_after(9))
        resume_run(stopped, workers=workers, quiet=True)
        assert read_parquet(stopped / "off_policy.parquet").equals(read_parquet(out / "off_policy.parquet"))


@pytest.mark.slow
def test_any_table_with_propensities_can_be_judged_by(tmp_path: Path) -> None:
    frame = log_of()
    frame["p"], frame["kind"] = 1 / 30, frame["what"].str[-1]
    frame.to_csv(tmp_path / "log.csv", index=False)
    table = {**TABLE, "columns": ["price", "kind"], "propensity": "p", "item_columns": ["kind"], "off_policy": {}}
    described = scenario(
        {"format": "csv", "path": str(tmp_path / "log.csv"), **table},
        features=[{"name": name, "buckets": 64} for name in ("user_id", "item_id", "kind")],
        serving=SOFTMAX,
    )
    start_run(described, tmp_path / "run", command="", workers=1, quiet=True)
    judged = pd.read_parquet(tmp_path / "run" / "off_policy.parquet")
    assert len(judged) == 2 * 450 and judged["target"].mean() == pytest.approx(1 / 30, rel=0.2)


def test_a_column_of_the_item_that_differs_between_its_rows_is_refused(tmp_path: Path) -> None:
    frame = log_of().assign(p=0.5)
    frame.to_csv(tmp_path / "log.csv", index=False)
    data = {"format": "csv", "path": str(tmp_path / "log.csv"), **TABLE, "propensity": "p", "item_columns": ["price"]}
    with pytest.raises(DataError, match=r"'price' holds .* for what i\d+ in row \d+ .* describes the item alone"):
        read(data)


def test_a_log_without_propensities_judges_nobody(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data.off_policy: .*name their column in data.propensity"):
        read({**write(tmp_path, "csv"), "off_policy": {}})


@pytest.mark.parametrize(
    "data, message",
    [
        ({"item_columns": ["kind"]}, "item_columns: got 'kind', which is none of columns"),
        ({"item_columns": ["price"], "propensity": None}, "item_columns: are for a log with propensities"),
        ({"top": [10, 5]}, r"data.*top: got \[10, 5\], must rise: say \[5, 10\]"),
        ({"off_policy": {"clip": 0}}, "data.*off_policy.clip: got 0"),
    ],
)
def test_settings_that_say_nothing_are_refused(data: dict[str, Any], message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        scenario({"format": "csv", "path": "log.csv", **TABLE, "propensity": "p", **data})
