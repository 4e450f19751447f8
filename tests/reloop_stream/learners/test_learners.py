"""The contract of learners, checked on every model, loss and optimiser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from reloop_stream import config
from reloop_stream.clock import HOUR_MS
from reloop_stream.config import FieldConfig, LearnerConfig, OptimizerConfig
from reloop_stream.errors import DivergedError, EventError, StateError
from reloop_stream.events import ListColumn
from reloop_stream.features.encoder import Encoder
from reloop_stream.learners import BaseRate, digest, freeze_from_bytes, make_learner
from reloop_stream.learners.sparse_updates import TableUpdates
from reloop_stream.models import MODELS
from reloop_stream.state.packing import unpack
from reloop_stream.testing import examples
from reloop_stream.updating import make_updater

FIELDS = [
    FieldConfig(name="user", mode="exact", buckets=50),
    FieldConfig(name="item", mode="hashed", buckets=32),
    FieldConfig(name="tags", kind="list", buckets=16),
    FieldConfig(name="price", kind="number"),
]


def batch(n: int = 64, seed: int = 0, **columns: Any) -> Any:
    rng = np.random.default_rng(seed)
    offsets = np.concatenate(([0], np.cumsum(rng.integers(0, 3, n))))
    features = {
        "user": rng.integers(0, 60, n),
        "item": rng.integers(0, 60, n),
        "tags": ListColumn(rng.integers(0, 9, int(offsets[-1])), offsets),
        "price": rng.uniform(0, 1, n),
    }
    return examples(n, seed, features=features, **columns)


def learner(kind: str = "torch", model: str = "fm", seed: int = 1, **settings: Any) -> Any:
    return make_learner(config_of(kind, model, **settings), FIELDS, name="x", seed=seed, base_rate=0.2)


def config_of(kind: str, model: str, **settings: Any) -> LearnerConfig:
    raw = {"kind": kind, "model": {"name": model, "embedding": 4, "hidden": [8], **settings.pop("model_", {})}}
    return LearnerConfig.model_validate(raw | settings)


TORCH = [("torch", model) for model in MODELS]
ALL = [*TORCH, ("river", "lr"), ("river", "fm"), ("linear", "lr"), ("linear", "fm")]
OPTIMIZERS = [(*which, name) for which in ALL if which[0] != "linear" for name in ("sgd", "adagrad", "adam")]
OPTIMIZERS += [("linear", "lr", "ftrl"), ("linear", "lr", "adagrad"), ("linear", "fm", "adagrad")]
LOSSES = [{"name": name, "alpha": 0.5} for name in config.LOSSES]


@pytest.mark.parametrize("kind, model, optimizer", OPTIMIZERS)
@pytest.mark.parametrize("p_last", ["stamp", "last_version"])
def test_a_restored_learner_goes_on_as_if_it_had_never_stopped(
    kind: str, model: str, optimizer: str, p_last: str
) -> None:
    settings: dict[str, Any] = {
        "optimizer": {"name": optimizer, "lr": 0.02},
        "loss": {"name": "reloop", "alpha": 0.5, "p_last": p_last},
    }
    one = learner(kind, model, **settings)
    one.learn(batch(seed=1))
    one.publish()
    one.learn(batch(seed=2))
    other = learner(kind, model, **settings, seed=1)
    other.restore(one.to_bytes())
    assert other.version == 1
    for seed in (3, 4):
        assert np.array_equal(one.learn(batch(seed=seed)), other.learn(batch(seed=seed)))
    assert digest(one.to_bytes()) == digest(other.to_bytes())


@pytest.mark.parametrize("kind, model", ALL)
def test_losses_lead_to_different_weights_and_equal_seeds_to_equal_ones(kind: str, model: str) -> None:
    def trained(loss: dict[str, Any]) -> str:
        one = learner(kind, model, loss=loss)
        one.learn(batch(seed=1))
        return digest(one.to_bytes())

    weights = {loss["name"]: trained(loss) for loss in LOSSES}
    assert weights == {loss["name"]: trained(loss) for loss in LOSSES}
    assert weights.pop("fnc") == weights["bce"]  # it differs in what is served
    assert len(set(weights.values())) == len(LOSSES) - 1
    assert trained({"name": "reloop", "alpha": 0.5}) != trained({"name": "reloop", "alpha": 0.1})
    assert trained({"name": "bce", "scale": 0.5}) != trained({"name": "bce"})


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("loss", LOSSES, ids=config.LOSSES)
@pytest.mark.parametrize(
    "updating",
    [
        {"mode": "incremental", "batch_size": 1},
        {"mode": "window", "days": 1, "every_hours": 1, "passes": 2, "batch_size": 20},
    ],
    ids=["batches of one", "window"],
)
def test_every_model_trains_through_every_loss(model: str, loss: dict[str, Any], updating: dict[str, Any]) -> None:
    one = learner("torch", model, loss=loss, updating=updating)
    fresh = {name: array.copy() for name, array in unpack(one.to_bytes())[1].items() if name.startswith("weights.")}
    updater = make_updater(config_of("torch", model, loss=loss, updating=updating), one)
    updater.end_tick(0, 0)
    updater.learn(batch(50), None)
    updater.end_tick(1, 2 * HOUR_MS)
    weights = unpack(one.to_bytes())[1]
    still = [name for name, array in fresh.items() if np.array_equal(array, weights[name])]
    assert still == [] and all(np.isfinite(weights[name]).all() for name in fresh)


@pytest.mark.parametrize("kind, model", ALL)
def test_a_learner_learns(kind: str, model: str) -> None:
    one = learner(kind, model, optimizer={"name": "adagrad", "lr": 0.1})
    data = batch(256, seed=5)
    before = one.predict(data.exposures.features)
    for _ in range(100 if kind == "torch" else 10):
        one.learn(data)
    after = one.predict(data.exposures.features)
    y = data.label

    def loss(p: np.ndarray) -> float:
        return float(-np.log(np.where(y, p, 1 - p)).mean())

    assert loss(after) < loss(before) - 0.02


@pytest.mark.parametrize("kind, model", ALL)
@pytest.mark.parametrize("settings", [{}, {"memory": {"bits": 3}}, {"loss": {"name": "fnc"}}], ids=str)
def test_candidates_score_as_their_rows_do(kind: str, model: str, settings: dict[str, Any]) -> None:
    one = learner(kind, model, **settings)
    one.learn(batch(seed=1))
    one.publish()
    one.remember(batch(seed=3))
    frozen, rows = one.publish(), batch(30, seed=2).exposures.features
    request = {"user": rows["user"][:5], "tags": ListColumn(np.arange(5), np.arange(6))}
    items = {"item": rows["item"][:8], "price": rows["price"][:8]}
    candidates = np.random.default_rng(0).integers(0, 8, (5, 4))
    scores = frozen.score_candidates(request, items, candidates)
    flat = candidates.ravel()
    full = {
        "user": np.repeat(request["user"], 4),
        "tags": ListColumn(np.repeat(np.arange(5), 4), np.arange(21)),
        "item": items["item"][flat],
        "price": items["price"][flat],
    }
    np.testing.assert_allclose(scores.ravel(), frozen.predict(full), atol=1e-6)


@pytest.mark.parametrize("kind, model", ALL)
def test_a_request_scores_the_same_whichever_others_come_with_it(kind: str, model: str) -> None:
    """Bit for bit, so that any number of servers can share the requests of a tick."""
    one = learner(kind, model, model_={"embedding": 8, "hidden": [32, 16]})
    one.learn(batch(seed=1))
    draws, frozen = np.random.default_rng(0), one.publish()
    n = 150 if kind == "torch" else 20
    items = {"item": np.arange(70), "price": draws.random(70)}
    candidates = draws.integers(0, 70, (n, 30))

    def scores(rows: np.ndarray) -> np.ndarray:
        request = {"user": rows, "tags": ListColumn(rows, np.arange(len(rows) + 1))}
        return frozen.score_candidates(request, items, candidates[rows])

    whole = scores(np.arange(n))
    for size in (1, 2, 3, 5, 8, 17, n - 1):
        some = np.sort(draws.choice(n, size, replace=False))
        np.testing.assert_array_equal(scores(some), whole[some])


@pytest.mark.parametrize("kind, model", ALL)
def test_candidates_score_where_requests_or_items_have_no_field(kind: str, model: str) -> None:
    one = learner(kind, model)
    one.learn(batch(seed=1))
    frozen, rows = one.publish(), batch(6, seed=2).exposures.features
    expected = frozen.predict(rows)
    of_items = frozen.score_candidates({"hour": np.arange(2)}, rows, np.array([[0, 1, 2], [3, 4, 5]]))
    np.testing.assert_allclose(of_items.ravel(), expected, atol=1e-6)
    of_requests = frozen.score_candidates(rows, {"topic": np.arange(3)}, np.array([[0], [1], [2], [0], [1], [2]]))
    np.testing.assert_allclose(of_requests.ravel(), expected, atol=1e-6)


@pytest.mark.parametrize("kind, model", ALL)
def test_a_published_version_stays_as_it_was(kind: str, model: str) -> None:
    one = learner(kind, model)
    one.learn(batch(seed=1))
    frozen, features = one.publish(), batch(10, seed=2).exposures.features
    before = frozen.predict(features)
    one.learn(batch(seed=3))
    assert np.array_equal(before, frozen.predict(features)) and one.version == frozen.version == 1
    thawed = freeze_from_bytes(frozen.to_bytes(), FIELDS, config_of(kind, model))
    assert np.array_equal(thawed.predict(features), before)


@pytest.mark.parametrize("kind, model", ALL)
def test_batches_of_one_and_predictions_without_side_effect(kind: str, model: str) -> None:
    one = learner(kind, model)
    single = batch(1)
    state = one.to_bytes()
    one.predict(single.exposures.features)
    assert one.to_bytes() == state
    assert one.learn(single).shape == (1,)


@pytest.mark.parametrize("kind, model", [("torch", "deepfm"), ("river", "fm"), ("linear", "fm")])
def test_another_model_s_snapshot_is_refused(kind: str, model: str) -> None:
    with pytest.raises(StateError):
        learner(kind, model).restore(learner("torch" if kind == "river" else "river", "lr").to_bytes())
    with pytest.raises(StateError):
        learner(kind, model).restore(b"nothing of the kind")


def test_the_rate_multiplies_every_learning_rate_and_is_kept() -> None:
    def trained(lr: float, rate: float, stop: bool = False) -> Any:
        one = learner("torch", "deepfm", optimizer={"name": "adagrad", "lr": lr, "embedding_lr": 2 * lr})
        one.rate = rate
        one.learn(batch(seed=1))
        if stop:
            snapshot, one = one.to_bytes(), learner("torch", "deepfm", optimizer=one._config.optimizer.model_dump())
            one.restore(snapshot)
        one.learn(batch(seed=2))
        return one

    assert digest(trained(0.01, 4.0).to_bytes()) == digest(trained(0.04, 1.0).to_bytes())
    assert digest(trained(0.01, 4.0, stop=True).to_bytes()) == digest(trained(0.04, 1.0).to_bytes())
    assert trained(0.01, 4.0, stop=True).rate == 4.0
    with pytest.raises(ValueError, match=r"rate: got 0\.0, must be above 0"):
        trained(0.01, 0.0)


@pytest.mark.parametrize("model", ["lr", "deepfm"])
def test_a_torch_model_represents_a_row_by_its_fields_weights(model: str) -> None:
    one = learner("torch", model)
    one.learn(batch(seed=1))
    frozen, features = one.publish(), batch(7, seed=2).exposures.features
    rows = frozen.represent(features)
    assert rows.shape == (7, 4 if model == "lr" else 16) and rows.dtype == np.float32
    if model == "lr":
        weights = unpack(frozen.to_bytes())[1]
        logit = weights["weights.model.bias"] + rows.sum(1)
        np.testing.assert_allclose(frozen.predict(features), 1 / (1 + np.exp(-logit)), rtol=1e-5)


def test_a_cold_start_forgets() -> None:
    one = learner("torch", "deepfm")
    fresh = digest(one.to_bytes())
    one.learn(batch())
    one.reset()
    assert digest(one.to_bytes()) == fresh


def test_dropout_is_seeded_and_absent_from_predictions() -> None:
    settings: dict[str, Any] = {"model_": {"dropout": 0.5}}
    one, other = (learner("torch", "deepfm", **settings) for _ in range(2))
    features = batch(9).exposures.features
    assert np.array_equal(one.predict(features), one.predict(features))
    one.learn(batch())
    other.learn(batch())
    assert digest(one.to_bytes()) == digest(other.to_bytes())


def test_foreign_rows_take_the_last_version_for_p_last() -> None:
    def after(foreign: bool) -> str:
        one = learner("torch", "fm", loss={"name": "distillation", "alpha": 0.9})
        one.learn(batch(seed=1))
        one.publish()
        data = batch(seed=2)
        one.learn(data, np.full(64, foreign))
        return digest(one.to_bytes())

    assert after(True) != after(False)


@pytest.mark.parametrize("name", ["sgd", "adagrad", "adam"])
def test_sparse_updates_equal_torch_s_own(name: str) -> None:
    torch.manual_seed(0)
    optimizer = OptimizerConfig(name=name, lr=0.1, initial_accumulator=1.0)
    start = torch.randn(20, 3)
    table, by_torch = start.clone(), torch.nn.Parameter(start.clone())
    make: Any = {
        "sgd": lambda p: torch.optim.SGD(p, lr=0.1),
        "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.1, initial_accumulator_value=1.0),
        "adam": lambda p: torch.optim.SparseAdam(p, lr=0.1),
    }[name]
    reference, updates = make([by_torch]), TableUpdates(optimizer, table, optimizer.lr)
    in_torch_ops = start.clone()
    other = TableUpdates(optimizer, in_torch_ops, optimizer.lr)
    for _ in range(5):
        slots, gradient = torch.randint(0, 20, (30,)), torch.randn(30, 3)
        summed = torch.sparse_coo_tensor(slots[None], gradient, (20, 3), check_invariants=True).coalesce()
        by_torch.grad = summed.to_dense() if name == "sgd" else summed
        reference.step()
        updates.step(slots, gradient.clone())
        other._step_in_torch(slots, gradient) if name != "adam" else _count_and_step(other, slots, gradient)
    torch.testing.assert_close(table, by_torch.detach(), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(table, in_torch_ops, atol=1e-5, rtol=1e-5)


def _count_and_step(updates: TableUpdates, slots: torch.Tensor, gradient: torch.Tensor) -> None:
    updates._steps += 1
    updates._step_in_torch(slots, gradient)


def test_a_missing_or_unfit_field_is_named() -> None:
    encoder = Encoder(FIELDS)
    with pytest.raises(EventError, match=r"features\.item: missing"):
        encoder.encode({"user": np.arange(2)})
    with pytest.raises(EventError, match=r"features\.user: got values of numpy kind 'O'"):
        encoder.select({**batch(2).exposures.features, "user": np.array(["a", "b"], dtype=object)})


@pytest.mark.parametrize("rate", [0.0, 1.0, float("nan")])
def test_a_base_rate_outside_0_and_1_is_an_error(rate: float) -> None:
    with pytest.raises(ValueError, match=r"base rate: got .* must be in \(0, 1\)"):
        BaseRate(rate)


WEIGHTS_OF: dict[tuple[str, str], Callable[[Any], object]] = {  # a way into each learner's weights, to spoil one
    ("torch", "deepfm"): lambda one: one._net.table.__setitem__((3, 0), float("nan")),
    ("torch", "lr"): lambda one: one._net.dense.__setitem__(0, float("inf")),
    ("linear", "lr"): lambda one: one._table.__setitem__((2, 0), np.inf),
    ("linear", "fm"): lambda one: one._table.__setitem__((2, 1), np.nan),
    ("river", "lr"): lambda one: setattr(one._model, "intercept", float("nan")),
    ("river", "fm"): lambda one: next(iter(one._model.latents.values())).__setitem__(0, np.nan),
}


@pytest.mark.parametrize("around", [{}, {"loss": {"name": "fnc"}}, {"memory": {"arrays": 1, "bits": 2}}])
@pytest.mark.parametrize("kind, model", WEIGHTS_OF)
def test_weights_that_are_not_finite_are_never_published(kind: str, model: str, around: dict[str, Any]) -> None:
    of = learner(kind, model, **around)
    of.learn(batch())
    inner = of.inner if around else of
    WEIGHTS_OF[kind, model](inner)
    with pytest.raises(DivergedError, match=r"x: its weights are no longer finite: .* after version 0"):
        of.publish()
    assert of.version == 0


def test_numbers_that_overflow_diverge_a_learner_and_do_not_enter_a_memory() -> None:
    of = learner("linear", "fm", memory={"arrays": 1, "bits": 1})
    of.learn(batch())
    of.publish()
    huge = batch()
    huge.exposures.features["price"][:] = 1e30
    of.remember(huge)
    assert np.isfinite(of.predict(batch().exposures.features)).all()
    of.inner.learn(huge)
    with pytest.raises(DivergedError):
        of.inner.publish()


@pytest.mark.parametrize(
    "kind, model", [("torch", "fm"), ("linear", "fm"), ("linear", "lr"), ("river", "fm"), ("river", "lr")]
)
def test_a_refused_batch_changes_nothing_and_an_empty_one_is_learnt_in_no_step(kind: str, model: str) -> None:
    of = learner(kind, model, optimizer={"name": "adagrad" if kind == "linear" else "adam"})
    of.learn(batch())
    before = digest(of.to_bytes())
    bad = batch()
    bad.exposures.features["price"][5] = np.nan
    with pytest.raises(EventError, match=r"features\.price: got nan in row 5"):
        of.learn(bad)
    assert of.learn(batch(0)).shape == of.predict(batch(0).exposures.features).shape == (0,)
    assert digest(of.to_bytes()) == before


@pytest.mark.parametrize("kind, model", [*TORCH, ("linear", "fm"), ("river", "fm")])
def test_no_candidates_no_items_and_no_requests_are_scored_as_none(kind: str, model: str) -> None:
    frozen = learner(kind, model, memory={"arrays": 1, "bits": 1}).publish()
    few = batch(3).exposures.features
    none = batch(0).exposures.features

    def score(requests: Any, items: Any, shape: tuple[int, int]) -> tuple[int, ...]:
        ours, theirs = {"user": requests["user"]}, {k: v for k, v in items.items() if k != "user"}
        found: tuple[int, ...] = frozen.score_candidates(ours, theirs, np.zeros(shape, dtype=np.int64)).shape
        return found

    for requests, items, shape in ((few, few, (3, 0)), (few, none, (3, 0)), (none, few, (0, 2)), (none, none, (0, 0))):
        assert score(requests, items, shape) == shape
    with pytest.raises(EventError, match="candidates: got 0 for request 0, there are 0 items"):
        score(few, none, (3, 1))
    with pytest.raises(EventError, match=r"features\.price: missing"):
        frozen.score_candidates(
            {"user": few["user"]}, {"item": few["item"], "tags": few["tags"]}, np.zeros((3, 1), int)
        )
