"""Ways of updating and losses as arms of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from simulator.lab.run import start_run
from simulator.scenario import load_scenario
from tests.conftest import TINY

pytestmark = pytest.mark.slow

ARMS: dict[str, dict[str, Any]] = {
    "control": {},
    "none": {"updating": {"mode": "none"}},
    "none-again": {"updating": {"mode": "none"}, "memory": {"weight": 0}},
    "fine-tune": {"updating": {"mode": "fine_tune", "every_hours": 6}},
    "window": {
        "updating": {"mode": "window", "days": 1, "every_hours": 6},
        "loss": {"name": "reloop", "level": "list"},
    },
    "replay": {"updating": {"mode": "replay", "batch_size": 64, "capacity": 300, "replayed": 30}},
    "memory": {"memory": {"base_every_hours": 12}},
    "fnc": {"loss": {"name": "fnc"}},
}


def run(folder: Path, arms: dict[str, dict[str, Any]], workers: int, **settings: Any) -> tuple[str, dict[str, str]]:
    folder.mkdir()
    path = folder / "scenario.yaml"
    parts = [{"name": name, "share": 1 / len(arms), "learner": learner} for name, learner in arms.items()]
    path.write_text(yaml.safe_dump({**yaml.safe_load(TINY), **settings, "arms": parts}))
    start_run(load_scenario(path), folder / "run", command="test", workers=workers, quiet=True)
    manifest = json.loads((folder / "run" / "manifest.json").read_text())
    return (folder / "run" / "daily.csv").read_text(), manifest["digests"]


def test_every_way_of_updating_is_an_arm_and_workers_change_nothing(tmp_path: Path) -> None:
    daily, digests = run(tmp_path / "one", ARMS, workers=1)
    assert (daily, digests) == run(tmp_path / "two", ARMS, workers=2)
    weights = {name: digest for name, digest in digests.items() if name not in ("none-again", "memory")}
    assert len(set(weights.values())) == len(weights)
    table = pd.read_csv(tmp_path / "one" / "run" / "daily.csv")
    last = table[table.day == table.day.max()].set_index("arm")
    assert (last.loc[list(ARMS), "exposures"] > 0).all()
    assert (last.model_versions > 4).all()  # all publish as often, learning or not


def test_a_way_of_updating_changes_nothing_of_its_arm_before_a_b(tmp_path: Path) -> None:
    """An arm's last A/A day is still open when its own learner, a shadow until then, takes over from the control's."""
    served = ["day", "arm", "users", "requests", "exposures", "clicks", "ctr", "auc", "logloss", "model_versions"]
    before = []
    for name, treatment in {"same": {}, "shadow": {"updating": {"mode": "fine_tune", "every_hours": 6}}}.items():
        run(tmp_path / name, {"control": {}, "treatment": treatment}, workers=1)
        table = pd.read_csv(tmp_path / name / "run" / "daily.csv")
        before.append(table.loc[table.phase != "ab", served].reset_index(drop=True))
    pd.testing.assert_frame_equal(before[0], before[1])


def test_an_arm_that_never_learns_keeps_the_weights_that_the_a_a_period_ended_with(tmp_path: Path) -> None:
    two = {"control": {}, "none": {"updating": {"mode": "none"}}}
    one_day, two_days = (
        run(tmp_path / str(days), two, workers=1, phases={"warmup_days": 1, "aa_days": 1, "ab_days": days})[1]
        for days in (1, 2)
    )
    assert one_day["none"] == two_days["none"] and one_day["control"] != two_days["control"]
