"""Training offline: what is minimised, when it ends, and which weights are left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss, roc_auc_score

from reloop_stream.config import FieldConfig, LearnerConfig, LossConfig, ModelConfig
from reloop_stream.events import Column, ListColumn
from reloop_stream.features.encoder import Encoded, Encoder
from reloop_stream.learners.torch_net import Net
from simulator.paper.network import Network
from simulator.paper.protocol import Prepared
from simulator.paper.training import Last, Plateau, Recipe, auc, logloss, one_pass, regularise, train
from tests.simulator.paper.made import prepared

# Validation AUC of each pass that the open benchmark logged for DeepFM on Frappe, and the rate after it.
LOGGED = [
    (0.937016, 1e-3), (0.962204, 1e-3), (0.973816, 1e-3), (0.977910, 1e-3), (0.978548, 1e-3), (0.979666, 1e-3),
    (0.981040, 1e-3), (0.980844, 1e-4), (0.983941, 1e-4), (0.984717, 1e-4), (0.985039, 1e-4), (0.985142, 1e-4),
    (0.985168, 1e-4), (0.984989, 1e-5), (0.984997, 1e-6),
]  # fmt: skip


def recipe(name: str = "deepfm", l2: float = 1e-3, batch: int = 64, **settings: Any) -> Recipe:
    return Recipe(ModelConfig(name=name, embedding=4, hidden=(8,), **settings), l2, rate=0.01, batch=batch)


def network_of(data: Prepared, by: Recipe, seed: int = 1) -> Network:
    return Network(by.model, data.encoder, 0.3, seed)


def last_of(data: Prepared, seed: int = 0) -> Last:
    p = np.random.default_rng(seed).uniform(0.1, 0.9, len(data.train))
    return Last(p, np.ones(len(p), dtype=bool))


def test_the_rate_and_the_end_follow_validation_as_in_the_benchmark_s_own_log() -> None:
    plateau = Plateau(torch.optim.Adam([torch.zeros(1)], lr=1e-3))
    found = []
    for number, (value, rate) in enumerate(LOGGED):
        assert not plateau.is_over, f"over before pass {number + 1}"
        found.append(plateau.rises(value))
        assert plateau.rate == pytest.approx(rate)
    assert plateau.is_over
    assert [number for number, rises in enumerate(found, 1) if not rises] == [8, 14, 15]


def test_the_regulariser_is_autograd_s_of_the_explicit_term_over_the_whole_table(tmp_path: Path) -> None:
    data = prepared(tmp_path)
    by_hand, explicit = network_of(data, recipe()), network_of(data, recipe())
    by_hand.table.grad = torch.zeros_like(by_hand.table)
    regularise(by_hand, 0.05)
    (0.05 / 2 * explicit.table.norm() ** 2).backward()
    torch.testing.assert_close(by_hand.table.grad, explicit.table.grad)
    assert len(by_hand.table.grad) == data.encoder.rows and (by_hand.table.grad[:, :-1] != 0).all()


@pytest.mark.parametrize("name", ["bce", "distillation", "reloop"])
def test_a_step_follows_the_gradient_of_the_paper_s_loss_and_the_regulariser(tmp_path: Path, name: str) -> None:
    data, by, alpha = prepared(tmp_path), recipe(batch=10_000, init_scale=0.3), 0.4
    last, stepped, plain = last_of(data), network_of(data, by), network_of(data, by)
    y, p_last = torch.from_numpy(data.train.label).double(), torch.from_numpy(last.p)
    loss = LossConfig(name=name, alpha=alpha)
    one_pass(
        stepped, by, loss, data.train, last, torch.optim.SGD(stepped.parameters(), lr=1.0), np.arange(len(data.train))
    )
    p = torch.sigmoid(plain(data.train.rows).double())

    def entropy(target: torch.Tensor) -> torch.Tensor:
        return -(target * p.log() + (1 - target) * (1 - p).log())

    second = {
        "bce": entropy(y),
        "distillation": entropy(p_last),
        "reloop": y * (p_last - p).clamp(min=0) + (1 - y) * (p - p_last).clamp(min=0),
    }[name]
    (alpha * second + (1 - alpha) * entropy(y)).mean().add(by.l2 / 2 * plain.table.square().sum()).backward()
    for (key, found), before in zip(stepped.named_parameters(), plain.parameters(), strict=True):
        expected = before.detach() if before.grad is None else before.detach() - before.grad
        torch.testing.assert_close(found.detach(), expected, atol=1e-5, rtol=1e-4, msg=key)


def test_the_weights_of_the_best_pass_are_left(tmp_path: Path) -> None:
    data, by = prepared(tmp_path, n=1500), recipe(dropout=0.3, init_scale=0.1)._replace(rate=0.03)
    network, seen = network_of(data, by), []
    predict = network.predict

    def seeing(encoded: Encoded) -> np.ndarray:
        seen.append(p := predict(encoded))
        return p

    network.predict = seeing  # type: ignore[method-assign]
    best = train(network, by, LossConfig(), data.train, last_of(data), data.valid, seed=3)
    of_passes = [auc(data.valid.label, p) for p in seen]
    assert best == max(of_passes) > max(0.6, of_passes[-1])
    assert best == auc(data.valid.label, predict(data.valid.rows))


def test_a_seed_decides_everything_and_arms_of_a_seed_differ_by_their_loss_alone(tmp_path: Path) -> None:
    data, by = prepared(tmp_path), recipe(dropout=0.3, batch_norm=True)

    def trained(seed: int, **loss: Any) -> np.ndarray:
        network = network_of(data, by, seed)
        torch.rand(3)  # what else is drawn in the process plays no part
        train(network, by, LossConfig(**loss), data.train, last_of(data), data.valid, seed)
        return network.predict(data.test.rows)

    plain = trained(1)
    np.testing.assert_array_equal(trained(1), plain)
    np.testing.assert_array_equal(trained(1, name="reloop", alpha=0.0), plain)
    assert (trained(2) != plain).any() and (trained(1, name="reloop", alpha=0.5) != plain).any()


def test_a_last_batch_of_one_row_is_left_out(tmp_path: Path) -> None:
    data = prepared(tmp_path, n=250)
    by = recipe(batch=len(data.train) - 1, batch_norm=True)
    network = network_of(data, by)
    assert 0 < train(network, by, LossConfig(), data.train, last_of(data), data.valid, seed=1) <= 1


def test_auc_and_log_loss_equal_scikit_learn_s_with_ties() -> None:
    rng = np.random.default_rng(0)
    label, p = rng.integers(0, 2, 500), rng.integers(1, 20, 500) / 20
    assert auc(label, p) == pytest.approx(roc_auc_score(label, p))
    assert logloss(label, p) == pytest.approx(log_loss(label, p))


def test_a_network_says_what_a_stream_s_learner_of_the_same_weights_does() -> None:
    fields = [
        FieldConfig(name="user", mode="exact", buckets=5),
        FieldConfig(name="genres", kind="list", mode="exact", buckets=6),
        FieldConfig(name="price", kind="number"),
    ]
    config = LearnerConfig(model=ModelConfig(name="deepfm", embedding=3, hidden=(4,)))
    encoder = Encoder(fields)
    network = Network(config.model, encoder, 0.3, seed=1)
    features: dict[str, Column] = {
        "user": np.array([0, 4, 2]),
        "genres": ListColumn(np.array([0, 1, 5, 2]), np.array([0, 2, 2, 4])),
        "price": np.array([0.5, -1.0, 2.0]),
    }
    net = Net(config, fields, seed=7, base_rate=0.3)
    weights = {key: value.detach().numpy() for key, value in network.named_parameters()}
    net.load(weights, ({}, {}))
    np.testing.assert_allclose(network.predict(encoder.encode(features)), net.predict(features), atol=1e-6)
