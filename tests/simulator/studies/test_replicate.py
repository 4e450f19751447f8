"""Replications: estimates are those of the runs, truths those of their worlds, and cells of other data do not mix."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from reloop_stream.errors import ConfigError
from simulator.errors import ScenarioError
from simulator.lab.run import start_run
from simulator.readout.compute import compute
from simulator.run_folder.reader import read_run
from simulator.scenario import parse_scenario
from simulator.studies.across_seeds import across_seeds
from simulator.studies.engines import Local
from simulator.studies.replicate import AA_OWN, Replication, ReplicationPlan, run_replication
from simulator.studies.replication_plots import draw_power, draw_worlds
from simulator.studies.replication_report import findings, to_json, to_text
from simulator.studies.worlds import as_mapping, in_world
from tests.simulator.runs import lab
from tests.simulator.studies.small import small, small_file

PHASES = {"warmup_days": 1, "aa_days": 2, "ab_days": 2}


@pytest.fixture(scope="module")
def replicated(tmp_path_factory: pytest.TempPathFactory) -> Replication:
    """Three worlds, with two kinds of training data."""
    out = tmp_path_factory.mktemp("replicated")
    return run_replication(
        ReplicationPlan(small(phases=PHASES), range(1, 4), ("own", "shared")), out, Local(1), quiet=True
    )


@pytest.mark.parametrize("data", ["own", "shared"])
def test_a_cell_says_what_the_run_says(replicated: Replication, tmp_path: Path, data: str) -> None:
    raw = in_world(
        as_mapping(parse_scenario(small(phases=PHASES, experiment={"data": data}, truth={"launch": True}))), 2
    )
    start_run(parse_scenario(raw), tmp_path / "run", command="", workers=1, quiet=True)
    results = compute(read_run(tmp_path / "run"))
    rows = replicated.rows[(replicated.rows["seed"] == 2) & (replicated.rows["data"] == data)].set_index("estimator")
    for name, estimate in results.uplift["reloop"].items():
        np.testing.assert_allclose(rows.loc[name, ["estimate", "lo", "hi", "p"]].to_numpy(float), estimate, rtol=1e-12)
        assert rows.loc[name, "truth"] == pytest.approx(results.truth["reloop"]["experiment"], abs=1e-12)
        # The launches of a run fork from its own A/A period; those of a cell from one without a split. They are the same.
        assert rows.loc[name, "launch"] == pytest.approx(results.truth["reloop"]["launch"], abs=1e-12)
    looks = replicated.looks[(replicated.looks["seed"] == 2) & (replicated.looks["data"] == data)]
    of_ab = looks[looks["phase"] == "ab"].set_index("day")["p"]
    assert of_ab.to_dict() == pytest.approx({look.day: look.estimate.p for look in results.sequential["reloop"]})
    if data == "own":
        assert results.aa is not None and rows.loc["aa", "p"] == pytest.approx(results.aa.p["reloop"])
        assert looks[looks["phase"] == "aa"].sort_values("day")["p"].iloc[-1] == pytest.approx(rows.loc["aa", "p"])
        own = parse_scenario(
            {**raw, "experiment": {"aa": "own"}, "phases": {**PHASES, "ab_days": 0}, "truth": {"experiment": False}}
        )
        start_run(own, tmp_path / "aa", command="", workers=1, quiet=True)
        noisy = compute(read_run(tmp_path / "aa")).aa
        assert noisy is not None and rows.loc[AA_OWN, "p"] == pytest.approx(noisy.p["reloop"])
        assert rows.loc[[AA_OWN, "aa"], "truth"].tolist() == [0, 0]


def test_there_is_a_row_for_all_that_was_asked(replicated: Replication) -> None:
    counts = replicated.rows.groupby(["data", "estimator"]).size().to_dict()
    tests = {(data, name): 3 for data in ("own", "shared") for name in ("raw", "ab_minus_aa", "cuped")}
    assert counts == {**tests, ("own", "aa"): 3, ("own", AA_OWN): 3}
    assert list(pd.read_csv(replicated.out / "replicate.csv")) == list(replicated.rows)
    assert list(replicated.rows)[:8] == ["seed", "arm", "estimator", "estimate", "lo", "hi", "p", "truth"]
    assert replicated.looks.groupby("phase").size().to_dict() == {"aa": 6, AA_OWN: 6, "ab": 12}
    assert len(list((replicated.out / "cells").iterdir())) == replicated.cells == 12


def test_findings_are_across_the_seeds(replicated: Replication) -> None:
    own, shared = findings(replicated)
    mine = replicated.rows[(replicated.rows["data"] == "own") & (replicated.rows["estimator"] == "cuped")]
    assert own.truth == across_seeds(mine["truth"].to_numpy())
    assert own.apart["cuped"] == across_seeds((mine["estimate"] - mine["launch"]).to_numpy())
    assert own.scores["cuped"].bias == across_seeds((mine["estimate"] - mine["truth"]).to_numpy())
    assert own.scores["raw"].coverage.n == 3 and own.aa["aa"].n == own.aa[AA_OWN].n == 3
    assert own.launch == shared.launch and set(own.rules) == set(shared.rules) == {"ab", "aa", AA_OWN}
    text = to_text(replicated, [own, shared])
    assert "tiny in 3 worlds, seeds 1 to 3" in text and "nan" not in text
    assert text.count("one learner for all arms") == 1 and "by what the arms train on" in text
    said = json.loads(to_json(replicated, [own, shared]))
    assert said["findings"][0]["scores"]["cuped"]["coverage"]["n"] == 3
    worlds, power = draw_worlds(replicated, [own, shared]), draw_power(replicated, [own, shared])
    assert len(worlds.axes) == 2 and power is not None
    shown = worlds.axes[0].get_lines()
    np.testing.assert_allclose(np.asarray(shown[-1].get_ydata(), float), mine["truth"])


def test_more_seeds_and_kinds_of_data_add_to_what_is_there(replicated: Replication) -> None:
    before = {file: file.stat().st_mtime_ns for file in (replicated.out / "cells").iterdir()}
    raw = small(phases=PHASES)
    more = run_replication(
        ReplicationPlan(raw, range(3, 5), ("shared",), aa_own=False), replicated.out, Local(1), quiet=True
    )
    files = {*(replicated.out / "cells").iterdir()}
    assert {file.name for file in files - before.keys()} == {"seed4-shared.json"}
    assert all(file.stat().st_mtime_ns == made for file, made in before.items())
    assert set(more.rows["seed"]) == {3, 4} and set(more.rows["data"]) == {"shared"}


def test_one_world_and_no_a_a_period_claim_little(tmp_path: Path) -> None:
    raw = small(phases={"warmup_days": 1, "aa_days": 0, "ab_days": 1})
    found = run_replication(ReplicationPlan(raw, [1]), tmp_path, Local(1), quiet=True)
    (one,) = findings(found)
    assert one.scores["cuped"].undefined == 1 and one.scores["raw"].undefined == 0
    assert math.isnan(one.truth.lo) and one.aa["aa"].n == 0 and set(one.rules) == {"ab"}
    text = to_text(found, [one])
    assert "nan" not in text and "claims nothing: ab_minus_aa 1, cuped 1" in text
    json.loads(to_json(found, [one]))
    draw_worlds(found, [one])
    draw_power(found, [one])


def test_what_has_nothing_to_compare_is_a_mistake(tmp_path: Path) -> None:
    def mistaken(plan: ReplicationPlan) -> str:
        with pytest.raises(ConfigError) as raised:
            run_replication(plan, tmp_path, Local(1), quiet=True)
        return str(raised.value)

    alone = small(arms=[{"name": "only"}])
    assert "got only alone; a replication wants a treatment" in mistaken(ReplicationPlan(alone, [1]))
    no_test = small(phases={"warmup_days": 1, "aa_days": 1, "ab_days": 0})
    assert "phases.ab_days: got 0" in mistaken(ReplicationPlan(no_test, [1]))
    assert "--data: got 'mine', must be of own, shared, co_diverted" in mistaken(
        ReplicationPlan(small(), [1], ("mine",))
    )
    assert "names one twice" in mistaken(ReplicationPlan(small(), [1], ("own", "own")))
    assert issubclass(ScenarioError, ConfigError) and not list(tmp_path.iterdir())


def test_the_command_prints_keeps_and_goes_on(tmp_path: Path) -> None:
    path, out = small_file(tmp_path), tmp_path / "out"
    said = ["replicate", path, "--seeds", 2, "--jobs", 1, "--skip-aa-own", "--out", out]
    done = lab(*said)
    assert done.code == 0 and "(2/2)" in done.err and done.out.endswith(f"study: {out}\n")
    names = {"cells", "study.yaml", "replicate.csv", "looks.csv", "arms.csv", "replicate.json"}
    assert {file.name for file in out.iterdir()} == names | {
        f"{name}.{end}" for name in ("worlds", "power") for end in ("svg", "png")
    }
    again = lab(*said)
    assert again.out == done.out and again.err == ""
    assert lab("replicate", path, "--data", "own,none", "--out", out).code == 2
