"""A model and a loss of a user's own, from files that the scenario names, as arms like any other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from reloop_stream import plugins
from reloop_stream.config import FieldConfig, LearnerConfig
from reloop_stream.errors import PluginError
from reloop_stream.learners import freeze_from_bytes, make_learner
from reloop_stream.testing import examples
from simulator.lab.run import start_run
from simulator.scenario import load_scenario
from tests.conftest import TINY

pytestmark = pytest.mark.slow

MODEL = '''
import torch

from reloop_stream.models import CtrModel
from reloop_stream.plugins import register_model


@register_model("scaled_fm")
class ScaledFM(CtrModel):
    """A factorization machine whose pairs count `options.scale` to begin with."""

    def __init__(self, config, n_fields, base_rate):
        super().__init__(config, n_fields, base_rate)
        self.scale = torch.nn.Parameter(torch.tensor(float(config.options["scale"])))

    def forward(self, x):
        vectors = x[:, :, :-1]
        pairs = vectors.sum(1).square().sum(1) - vectors.square().sum((1, 2))
        return self.first_order(x) + self.scale * 0.5 * pairs
'''

LOSS = """
import numpy as np

from reloop_stream.plugins import register_loss


@register_loss("focal")
def focal(config, p, p_last, y, has_last):
    '''Cross-entropy that looks past what is easy, and past what the last version said, where it is known.'''
    certain = np.where(y > 0.5, p, 1 - p)
    near = np.where(has_last, np.abs(p - p_last), 0.0)
    return y, (1 - certain) ** config.options["gamma"] * (1 - near)
"""
ARMS: dict[str, dict[str, Any]] = {
    "control": {},
    "scaled": {"model": {"name": "scaled_fm", "embedding": 4, "options": {"scale": 2.0}}},
    "focal": {"loss": {"name": "focal", "options": {"gamma": 1.0}}},
    "harder": {"loss": {"name": "focal", "options": {"gamma": 4.0}}},
}
Outcome = tuple[str, dict[str, str]]


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mine")
    (folder / "scaled_fm.py").write_text(MODEL, encoding="utf-8")
    (folder / "focal.py").write_text(LOSS, encoding="utf-8")
    raw = yaml.safe_load(TINY)
    raw["plugins"] = ["scaled_fm.py", "focal.py"]
    raw["arms"] = [{"name": name, "share": 0.25, "learner": learner} for name, learner in ARMS.items()]
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(raw), encoding="utf-8")
    return path


def outcome(path: Path, out: Path, workers: int, *overrides: str) -> Outcome:
    start_run(load_scenario(path, overrides), out, command="test", workers=workers, quiet=True)
    return (out / "daily.csv").read_text(), json.loads((out / "manifest.json").read_text())["digests"]


@pytest.fixture(scope="module")
def one(scenario: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """What a process alone comes to."""
    return outcome(scenario, tmp_path_factory.mktemp("one") / "run", 1)


def test_a_model_of_a_user_s_own_is_an_arm_like_any_other(scenario: Path, one: Outcome, tmp_path: Path) -> None:
    other = outcome(scenario, tmp_path / "other", 1, "arms.1.learner.model.options.scale=-30")
    assert {name for name in ARMS if other[1][name] != one[1][name]} == {"scaled"}


def test_a_loss_of_one_s_own_is_an_arm(one: Outcome) -> None:
    daily, digests = one
    assert len({*digests.values()}) == len(ARMS) and daily.count("harder") == 3


def test_what_is_a_user_s_own_is_there_in_every_process(scenario: Path, one: Outcome, tmp_path: Path) -> None:
    assert outcome(scenario, tmp_path / "two", 2) == one


def test_its_versions_come_back_from_bytes_and_equal_a_factorization_machine(scenario: Path) -> None:
    load_scenario(scenario)
    fields = [FieldConfig(name="user", mode="exact", buckets=50), FieldConfig(name="item")]

    def trained(model: dict[str, Any]) -> tuple[Any, np.ndarray]:
        config = LearnerConfig.model_validate({"model": {"embedding": 4, **model}})
        one = make_learner(config, fields, name="x", seed=1, base_rate=0.2)
        one.learn(examples(seed=1))
        return freeze_from_bytes(one.publish().to_bytes(), fields, config), one.predict(examples().exposures.features)

    thawed, expected = trained({"name": "scaled_fm", "options": {"scale": 1.0}})
    np.testing.assert_allclose(thawed.predict(examples().exposures.features), expected, atol=1e-7)
    np.testing.assert_allclose(expected, trained({"name": "fm"})[1], atol=1e-3)  # whose scale does not learn


def test_a_name_that_no_file_registered_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"got 'nobody_s', must be one of lr, fm, .*, or a model of a file named"):
        LearnerConfig.model_validate({"model": {"name": "nobody_s"}})
    with pytest.raises(PluginError, match="no such Python file"):
        plugins.load(["nowhere.py"])
