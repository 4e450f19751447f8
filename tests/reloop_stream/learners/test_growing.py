"""Torch learners whose table grows with the vocabulary of their fields."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from reloop_stream.config import FieldConfig, LearnerConfig
from reloop_stream.errors import StateError
from reloop_stream.events import ListColumn, take_column
from reloop_stream.learners import digest, freeze_from_bytes, make_learner
from reloop_stream.learners.growing_rows import GrowingRows
from reloop_stream.learners.sparse_updates import TableUpdates
from reloop_stream.learners.torch_net import Net
from reloop_stream.state.packing import unpack
from reloop_stream.testing import examples

FIELDS = [
    FieldConfig(name="user", mode="growing", buckets=200),
    FieldConfig(name="item", mode="exact", buckets=60),
    FieldConfig(name="tags", kind="list", mode="growing", buckets=5),
]


def batch(n: int = 64, seed: int = 0, first: int = 0) -> Any:
    """Users from `first` on; texts as tags, of which there are more than have room."""
    rng = np.random.default_rng(seed)
    tags = ListColumn(np.array([f"t{i}" for i in rng.integers(0, 9, n)], dtype=object), np.arange(n + 1))
    users = rng.integers(first, first + 30, n)
    return examples(n, seed, features={"user": users, "item": rng.integers(0, 60, n), "tags": tags})


def config(optimizer: str = "adagrad", **settings: Any) -> LearnerConfig:
    raw = {"model": {"name": "deepfm", "embedding": 4, "hidden": [8]}, "optimizer": {"name": optimizer, "lr": 0.02}}
    return LearnerConfig.model_validate(raw | settings)


def learner(*settings: Any, **more: Any) -> Any:
    return make_learner(config(*settings, **more), FIELDS, name="x", seed=1, base_rate=0.2)


@pytest.mark.parametrize("optimizer", ["sgd", "adagrad", "adam"])
@pytest.mark.parametrize("p_last", ["stamp", "last_version"])
def test_a_learner_that_grows_goes_on_from_its_snapshot_as_if_it_had_never_stopped(optimizer: str, p_last: str) -> None:
    loss = {"name": "reloop", "alpha": 0.5, "p_last": p_last}
    whole = learner(optimizer, loss=loss)
    for k in range(3):
        whole.learn(batch(seed=k, first=20 * k))
        whole.publish()
    whole.learn(batch(seed=3, first=60))  # learnt and not yet published
    restored = learner(optimizer, loss=loss)
    restored.restore(whole.to_bytes())
    assert restored.to_bytes() == whole.to_bytes()
    for k in range(4, 8):
        data = batch(seed=k, first=20 * k)
        assert np.array_equal(whole.learn(data), restored.learn(data))
    assert restored.to_bytes() == whole.to_bytes()
    users = {user for k in range(8) for user in batch(seed=k, first=20 * k).exposures.features["user"].tolist()}
    assert len(unpack(whole.to_bytes())[1]["weights.table"]) == whole.encoder.rows == 63 + len(users) + 5


def test_a_prediction_neither_adds_values_nor_knows_them() -> None:
    one = learner()
    one.learn(batch(seed=1))
    before, features = one.to_bytes(), batch(seed=2, first=1000).exposures.features
    known = one.predict(features | {"user": np.full(64, -1)})
    assert np.array_equal(one.predict(features), known) and one.to_bytes() == before


def test_a_new_value_s_first_weights_depend_neither_on_the_others_nor_on_when_it_comes() -> None:
    at_once, by_parts = (Net(config(), FIELDS, seed=1, base_rate=0.2) for _ in range(2))
    first, second = (batch(seed=5, first=first).exposures.features for first in (0, 100))
    assert at_once.learn_values(first) and not at_once.learn_values(first)
    n = len(at_once.table)
    assert by_parts.learn_values({name: take_column(column, np.arange(9)) for name, column in first.items()})
    assert by_parts.learn_values(first) and by_parts.learn_values(second)
    assert torch.equal(by_parts.table[:n], at_once.table)
    fresh = by_parts.table[n:]
    assert len(fresh) and (fresh[:, -1] == 0).all() and 0.005 < fresh[:, :-1].std() < 0.015


@pytest.mark.parametrize("name", ["sgd", "adagrad", "adam"])
def test_updates_of_a_table_that_grew_equal_those_of_one_that_was_as_large_from_the_first(name: str) -> None:
    torch.manual_seed(0)
    optimizer = config(name).optimizer
    large = torch.randn(40, 3)
    small = GrowingRows(large[:4].clone())
    one, other = TableUpdates(optimizer, large, 0.1), TableUpdates(optimizer, small.rows, 0.1)
    for n in (4, 9, 10, 40):
        if n > 4:
            small.grow(large[len(small.rows) : n].clone())
            other.follow(small.rows)
        slots, gradient = torch.randint(0, n, (30,)), torch.randn(30, 3)
        one.step(slots, gradient.clone())
        other.step(slots, gradient)
    assert torch.equal(small.rows, large)
    assert all(np.array_equal(array, other.state()[key]) for key, array in one.state().items())


def test_a_published_version_has_the_vocabulary_of_its_time() -> None:
    one = learner()
    one.learn(batch(seed=1))
    frozen, features = one.publish(), batch(seed=2, first=15).exposures.features
    before = frozen.predict(features)
    one.learn(batch(seed=2, first=15))
    assert np.array_equal(frozen.predict(features), before)
    thawed = freeze_from_bytes(frozen.to_bytes(), FIELDS, config())
    assert np.array_equal(thawed.predict(features), before)
    assert np.array_equal(freeze_from_bytes(thawed.to_bytes(), FIELDS, config()).predict(features), before)
    request = {"user": features["user"][:3]}
    items = {"item": features["item"][:4], "tags": ListColumn(features["tags"].values[:4], np.arange(5))}
    candidates = np.array([[0, 1], [2, 3], [1, 3]])
    rows = {"user": np.repeat(request["user"], 2), "item": items["item"][candidates.ravel()]}
    rows["tags"] = ListColumn(items["tags"].values[candidates.ravel()], np.arange(7))
    np.testing.assert_allclose(
        thawed.score_candidates(request, items, candidates).ravel(), frozen.predict(rows), atol=1e-6
    )


def test_a_cold_start_forgets_the_values_and_the_last_version_keeps_them() -> None:
    def trained(stop: bool) -> Any:
        one = learner(loss={"name": "distillation", "alpha": 0.9, "p_last": "last_version"})
        fresh = digest(one.to_bytes())
        one.learn(batch(seed=1))
        one.publish()
        one.reset()
        assert digest(one.to_bytes()) == fresh
        if stop:
            snapshot, one = one.to_bytes(), learner(loss=one._config.loss.model_dump())
            one.restore(snapshot)
        one.learn(batch(seed=2, first=40))
        one.learn(batch(seed=1))
        return one.to_bytes()

    assert trained(stop=False) == trained(stop=True)


def test_a_snapshot_of_other_growing_fields_is_refused() -> None:
    other = make_learner(
        config(), [*FIELDS[1:], FieldConfig(name="city", mode="growing")], name="x", seed=1, base_rate=0.2
    )
    with pytest.raises(StateError, match="vocabulary of"):
        learner().restore(other.to_bytes())
