"""Learners on a GPU, where there is one: they learn, predict and score as on the CPU, but for rounding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from reloop_stream.config import FieldConfig, LearnerConfig
from reloop_stream.events import ListColumn
from reloop_stream.learners import freeze_from_bytes, make_learner
from reloop_stream.models import MODELS
from reloop_stream.testing import examples

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")

CATEGORIES = [FieldConfig(name="user", mode="exact", buckets=60), FieldConfig(name="item", mode="growing")]
FIELDS = [*CATEGORIES, FieldConfig(name="tags", kind="list", buckets=16), FieldConfig(name="price", kind="number")]
CLOSE = 2e-4  # of probabilities after some steps: sums in other orders, and products of matrices in fewer bits


def batch(seed: int, n: int = 256) -> Any:
    rng = np.random.default_rng(seed)
    offsets = np.concatenate(([0], np.cumsum(rng.integers(0, 3, n))))
    features = {
        "user": rng.integers(0, 60, n),
        "item": rng.integers(0, 40 + 20 * seed, n),
        "tags": ListColumn(rng.integers(0, 9, int(offsets[-1])), offsets),
        "price": rng.uniform(0, 1, n),
    }
    return examples(n, seed, features=features)


def learnt(device: str, fields: list[FieldConfig], name: str, **settings: Any) -> tuple[Any, LearnerConfig]:
    model = {"name": name, "embedding": 4, "hidden": [16, 8], "init_scale": 0.1, **settings.pop("model", {})}
    config = LearnerConfig.model_validate({"model": model, "device": device, **settings})
    one = make_learner(config, fields, name="x", seed=1, base_rate=0.2)
    for seed in range(4):
        one.learn(batch(seed))
    return one, config


@pytest.mark.parametrize("fields", [CATEGORIES, FIELDS], ids=["categories", "lists and numbers"])
@pytest.mark.parametrize("model", MODELS)
def test_a_learner_does_what_it_does_on_the_cpu(model: str, fields: list[FieldConfig]) -> None:
    loss = {"name": "reloop", "alpha": 0.3}
    features = batch(9).exposures.features
    requests = {"user": np.arange(20)}
    items = {
        "item": np.arange(40),
        "tags": ListColumn(np.arange(40) % 9, np.arange(41)),
        "price": np.linspace(0, 1, 40),
    }
    candidates = np.random.default_rng(1).permuted(np.tile(np.arange(40), (20, 1)), axis=1)[:, :12]
    found = []
    for device in ("cpu", "cuda"):
        one, config = learnt(device, fields, model, loss=loss)
        version = one.publish()
        found.append((version.predict(features), version.score_candidates(requests, items, candidates)))
        again = freeze_from_bytes(version.to_bytes(), fields, config)
        assert np.array_equal(again.predict(features), found[-1][0])
    for here, there in zip(*found, strict=True):
        np.testing.assert_allclose(there, here, atol=CLOSE)


def goes_on(one: Any, config: LearnerConfig) -> Any:
    """Another one takes over its state, and both learn the same: the features of which they then predict the same."""
    other = make_learner(config, FIELDS, name="x", seed=1, base_rate=0.2)
    other.restore(one.to_bytes())
    for each in (one, other):
        each.learn(batch(7))
    features = batch(9).exposures.features
    np.testing.assert_allclose(other.predict(features), one.predict(features), atol=CLOSE)
    return features


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": {"name": "sgd", "lr": 0.1}},
        {"optimizer": {"name": "adam", "lr": 0.01}},
        {"optimizer": {"name": "adagrad", "lr": 0.1, "l2": 0.01}},
        {"loss": {"name": "distillation", "p_last": "last_version"}},
    ],
    ids=["sgd", "adam", "l2", "last version"],
)
def test_a_restored_learner_goes_on_as_if_it_had_never_stopped(settings: dict[str, Any]) -> None:
    one, config = learnt("cuda", FIELDS, "deepfm", **settings)
    one.publish()
    features = goes_on(one, config)
    on_cpu, _ = learnt("cpu", FIELDS, "deepfm", **settings)
    on_cpu.learn(batch(7))
    if "loss" not in settings:  # the one on the CPU has published nothing
        np.testing.assert_allclose(one.predict(features), on_cpu.predict(features), atol=CLOSE)


def test_dropout_draws_what_a_learner_that_never_stopped_draws() -> None:
    goes_on(*learnt("cuda", FIELDS, "deepfm", model={"dropout": 0.3}))
