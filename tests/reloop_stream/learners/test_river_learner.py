"""Learners of river: rates, representations, errors by list and session, vocabularies that grow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from reloop_stream.config import FieldConfig, LearnerConfig
from reloop_stream.events import ListColumn
from reloop_stream.learners import digest, freeze_from_bytes, make_learner
from reloop_stream.testing import examples

FIELDS = [
    FieldConfig(name="user", mode="exact", buckets=50),
    FieldConfig(name="item", buckets=64),
    FieldConfig(name="tags", kind="list", buckets=16),
    FieldConfig(name="price", kind="number"),
]
GROWING = [FieldConfig(name="user", mode="growing", buckets=30), FieldConfig(name="price", kind="number")]
ONE_GROUP: dict[str, Any] = {"request_id": np.zeros(2, dtype=np.int64), "user_id": np.zeros(2, dtype=np.int64)}


def config(model: str = "fm", **settings: Any) -> LearnerConfig:
    raw: dict[str, Any] = {"kind": "river", "model": {"name": model, "embedding": 3, "init_scale": 0.3}}
    return LearnerConfig.model_validate(raw | settings)


def learner(model: str = "fm", fields: list[FieldConfig] = FIELDS, **settings: Any) -> Any:
    return make_learner(config(model, **settings), fields, name="x", seed=1, base_rate=0.2)


def batch(n: int = 40, seed: int = 0, **columns: Any) -> Any:
    rng = np.random.default_rng(seed)
    features = {
        "user": rng.integers(0, 60, n),
        "item": rng.integers(0, 60, n),
        "tags": ListColumn(rng.integers(0, 9, 2 * n), np.arange(0, 2 * n + 1, 2)),
        "price": rng.uniform(0, 1, n),
    }
    return examples(n, seed, **{"features": features, **columns})


@pytest.mark.parametrize("model", ["lr", "fm"])
@pytest.mark.parametrize("optimizer", ["sgd", "adagrad", "adam"])
def test_the_rate_multiplies_every_learning_rate_and_is_kept(model: str, optimizer: str) -> None:
    def trained(lr: float, rate: float, stop: bool = False) -> Any:
        one = learner(model, optimizer={"name": optimizer, "lr": lr, "embedding_lr": 2 * lr})
        one.rate = rate
        one.learn(batch(seed=1))
        if stop:
            snapshot, one = (
                one.to_bytes(),
                learner(model, optimizer={"name": optimizer, "lr": lr, "embedding_lr": 2 * lr}),
            )
            one.restore(snapshot)
        one.learn(batch(seed=2))
        return one

    raised = trained(0.01, 4.0)
    assert digest(raised.to_bytes()) == digest(trained(0.04, 1.0).to_bytes()) != digest(trained(0.01, 1.0).to_bytes())
    stopped = trained(0.01, 4.0, stop=True)
    assert stopped.rate == 4.0 and digest(stopped.to_bytes()) == digest(raised.to_bytes())


def test_a_linear_model_s_representation_adds_up_to_its_logit() -> None:
    one = learner("lr", optimizer={"lr": 0.3})
    one.learn(batch(seed=1))
    frozen, features = one.publish(), batch(9, seed=2).exposures.features
    rows = frozen.represent(features)
    assert rows.shape == (9, 4) and rows.dtype == np.float32
    p = frozen.predict(features)
    np.testing.assert_allclose(np.log(p / (1 - p)), one._weights().bias + rows.sum(1), rtol=1e-4)


def test_a_factorization_machine_s_representation_holds_the_sum_of_its_vectors() -> None:
    one = learner("fm")
    one.learn(batch(seed=1))
    features = batch(1, seed=1).exposures.features
    rows, weights = one.publish().represent(features), one._weights()
    encoded = one.encoder.encode(features)
    assert rows.shape == (1, 4 + 3)
    tags, slots = encoded.lists[0].rows, encoded.slots[0]
    by_hand = sum((weights.vectors[int(slot)] for slot in slots if int(slot) in weights.vectors), np.zeros(3))
    by_hand = by_hand + encoded.numbers[0, 0] * weights.vectors[-1]
    by_hand = by_hand + sum((weights.vectors[int(t)] / len(tags) for t in tags), np.zeros(3))
    np.testing.assert_allclose(rows[0, 4:], by_hand, rtol=1e-5)


@pytest.mark.parametrize("level", ["list", "session"])
def test_errors_are_compared_by_group(level: str) -> None:
    """Two rows of one group, p = 0.2 for both: gaps +0.1 and -0.3 mean that the group does not err more."""
    two = batch(2, pctr=np.array([0.1, 0.5]), **ONE_GROUP)
    two.label[:] = 0
    one, by_item, plain = (
        learner("lr", optimizer={"name": "sgd", "lr": 0.1}, loss=loss)
        for loss in (
            {"name": "reloop", "alpha": 0.5, "level": level},
            {"name": "reloop", "alpha": 0.5},
            {"name": "bce", "scale": 0.5},
        )
    )
    before = one.predict(two.exposures.features)
    assert one.learn(two).tolist() == before.tolist() == pytest.approx([0.2, 0.2])
    by_item.learn(two)
    plain.learn(two)
    assert digest(one.to_bytes()) == digest(plain.to_bytes()) != digest(by_item.to_bytes())


@pytest.mark.parametrize("model", ["lr", "fm"])
def test_vocabularies_grow_are_published_as_they_were_and_survive_a_restart(model: str) -> None:
    def of(users: list[str], seed: int) -> Any:
        n = len(users)
        price = np.random.default_rng(seed).uniform(0, 1, n)
        return examples(n, seed, features={"user": np.array(users, dtype=object), "price": price})

    loss = {"name": "distillation", "p_last": "last_version", "alpha": 0.5}
    settings = {"loss": loss, "optimizer": {"lr": 0.3}}
    one = learner(model, GROWING, **settings)
    one.learn(of(["ann", "bob"] * 4, 1))
    frozen, probe = one.publish(), of(["ann", "cid", "dan"], 2)
    then = frozen.predict(probe.exposures.features)
    one.learn(of(["cid", "ann"] * 4, 3))
    assert np.array_equal(frozen.predict(probe.exposures.features), then)
    thawed = freeze_from_bytes(frozen.to_bytes(), GROWING, config(model))
    assert np.array_equal(thawed.predict(probe.exposures.features), then)
    other = learner(model, GROWING, **settings)
    other.restore(one.to_bytes())
    for seed in (4, 5):
        more = of(["dan", "bob", "eve"], seed)
        assert np.array_equal(one.learn(more), other.learn(more))
    assert one.to_bytes() == other.to_bytes()
