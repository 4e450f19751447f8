"""A model of a user's own, from a file that the scenario names, as an arm like any other."""

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


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    (tmp_path / "scaled_fm.py").write_text(MODEL, encoding="utf-8")
    raw = yaml.safe_load(TINY)
    raw["plugins"] = ["scaled_fm.py"]
    raw["arms"][1]["learner"] = {"model": {"name": "scaled_fm", "embedding": 4, "options": {"scale": 2.0}}}
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(raw), encoding="utf-8")
    return path


def outcome(path: Path, out: Path, workers: int, *overrides: str) -> tuple[str, Any]:
    start_run(load_scenario(path, overrides), out, command="test", workers=workers, quiet=True)
    return (out / "daily.csv").read_text(), json.loads((out / "manifest.json").read_text())["digests"]


def test_a_model_of_a_user_s_own_is_an_arm_like_any_other(scenario: Path, tmp_path: Path) -> None:
    one = outcome(scenario, tmp_path / "one", 1)
    assert outcome(scenario, tmp_path / "two", 2) == one
    other = outcome(scenario, tmp_path / "other", 1, "arms.1.learner.model.options.scale=-30")
    assert other[1]["control"] == one[1]["control"] and other[1]["reloop"] != one[1]["reloop"]


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
