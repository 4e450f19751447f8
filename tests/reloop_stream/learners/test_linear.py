"""The linear learner against plain implementations of its rules, and what makes it a learner like any other."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from river import linear_model, optim

from reloop_stream import plugins
from reloop_stream.config import FieldConfig, LearnerConfig, apply_overrides
from reloop_stream.errors import StateError
from reloop_stream.events import ExampleBatch, ListColumn
from reloop_stream.learners import digest, freeze_from_bytes, make_learner
from reloop_stream.learners.linear_kernels import reloop_weight
from reloop_stream.losses import CONSTANT_WEIGHTS, TIE
from reloop_stream.losses import reloop_weight as reloop_weight_of_losses
from reloop_stream.state.packing import unpack
from reloop_stream.testing import examples
from simulator.lab.run import start_run
from simulator.scenario import parse_scenario
from tests.conftest import TINY

FIELDS = [
    FieldConfig(name="user", mode="exact", buckets=20),
    FieldConfig(name="item", mode="hashed", buckets=16),
    FieldConfig(name="tags", kind="list", mode="exact", buckets=9),
    FieldConfig(name="price", kind="number"),
]
D = 3
BASE_RATE = 0.3
RULES: list[dict[str, Any]] = [
    {"model": {"name": "lr"}, "optimizer": {"name": "ftrl", "lr": 0.1, "l1": 0.05, "l2": 0.1}},
    {"model": {"name": "lr"}, "optimizer": {"name": "adagrad", "lr": 0.1, "l2": 0.01}},
    {"model": {"name": "fm", "embedding": D, "init_scale": 0.3}, "optimizer": {"name": "adagrad", "lr": 0.1}},
]


def learner(seed: int = 1, **settings: Any) -> Any:
    return make_learner(config(**settings), FIELDS, name="x", seed=seed, base_rate=BASE_RATE)


def config(**settings: Any) -> LearnerConfig:
    return LearnerConfig.model_validate({"kind": "linear", **settings})


def batch(n: int = 64, seed: int = 0, **columns: Any) -> ExampleBatch:
    rng = np.random.default_rng(seed)
    offsets = np.concatenate(([0], np.cumsum(rng.integers(0, 4, n))))
    features = {
        "user": rng.integers(0, 25, n),
        "item": rng.integers(0, 99, n),
        "tags": ListColumn(rng.integers(0, 9, int(offsets[-1])), offsets),
        "price": rng.uniform(-1, 1, n),
    }
    return examples(n, seed, features=features, **columns)


def rows_of(one: Any, data: ExampleBatch) -> list[dict[Any, float]]:
    """Each example as plain feature → value, without the bias, keyed by the encoder's row or the number's name."""
    encoded = one.encoder.encode(data.exposures.features)
    rows = []
    for i in range(len(data)):
        row: dict[Any, float] = dict.fromkeys(encoded.slots[i].tolist(), 1.0)
        for flat, offsets, _ in encoded.lists:
            members = flat[offsets[i] : offsets[i + 1]].tolist()
            for slot in members:
                row[slot] = row.get(slot, 0.0) + 1.0 / len(members)
        rows.append(row | {"price": float(encoded.numbers[i, 0])})
    return rows


def sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z))


def test_ftrl_is_algorithm_1_of_mcmahan_et_al() -> None:
    alpha, beta, l1, l2 = 0.2, 0.7, 0.3, 0.5
    one = learner(optimizer={"name": "ftrl", "lr": alpha, "beta": beta, "l1": l1, "l2": l2}, model={"name": "lr"})
    data = batch(200, seed=3)
    z: dict[Any, float] = {}
    n: dict[Any, float] = {}

    def weight(i: Any) -> float:
        first, second = (0.0, 0.0) if i == "bias" else (l1, l2)
        if abs(z.get(i, 0.0)) <= first:
            return 0.0
        return -(z[i] - math.copysign(first, z[i])) / ((beta + math.sqrt(n[i])) / alpha + second)

    expected = []
    for x, y in zip(rows_of(one, data), data.label.tolist(), strict=True):
        x["bias"] = 1.0
        w = {i: weight(i) for i in x}
        p = sigmoid(math.log(BASE_RATE / (1 - BASE_RATE)) + sum(w[i] * x[i] for i in x))
        expected.append(p)
        for i in x:
            g = (p - y) * x[i]
            sigma = (math.sqrt(n.get(i, 0.0) + g * g) - math.sqrt(n.get(i, 0.0))) / alpha
            z[i] = z.get(i, 0.0) + g - sigma * w[i]
            n[i] = n.get(i, 0.0) + g * g
    np.testing.assert_allclose(one.learn(data), expected, rtol=1e-5)
    learnt = weights_of(one)
    zeros = {i for i in z if weight(i) == 0.0}
    assert zeros == {i for i in z if learnt[i][0] == 0.0} and len(zeros) > 3


def test_adagrad_equals_river_s() -> None:
    lr = 0.3
    one = learner(model={"name": "lr"}, optimizer={"name": "adagrad", "lr": lr, "initial_accumulator": 1e-8})
    data = batch(300, seed=4)
    # river's own bias learns by plain gradients: here it is a feature of value 1 that begins at the base rate.
    theirs = linear_model.LogisticRegression(optim.AdaGrad(lr), intercept_lr=0, intercept_init=math.log(3 / 7))
    expected = []
    for x, y in zip(rows_of(one, data), data.label.tolist(), strict=True):
        row = x | {"bias": 1.0}
        expected.append(theirs.predict_proba_one(row)[True])
        theirs.learn_one(row, y)
    np.testing.assert_allclose(one.learn(data), expected, atol=1e-6)


def naive_logit(weights: dict[Any, np.ndarray], x: dict[Any, float]) -> float:
    """Rendle 2010, Eq. 1, pair by pair; a feature's weights are its first-order weight and then its vector."""
    keys = list(x)
    total = weights["bias"][0] + sum(weights[i][0] * x[i] for i in keys)
    for a, i in enumerate(keys):
        for j in keys[a + 1 :]:
            total += float(weights[i][1:] @ weights[j][1:]) * x[i] * x[j]
    return float(total)


def weights_of(one: Any) -> dict[Any, np.ndarray]:
    """The learner's weights by feature: float64 [1 + D] each, or [1] without vectors."""
    _, arrays = unpack(one.to_bytes())
    table = arrays["weights.table"].astype(np.float64)
    table[0, 0] += arrays["weights.bias"][0]
    return {"bias": table[0], "price": table[1]} | {row: table[2 + row] for row in range(one.encoder.rows)}


def test_a_factorization_machine_steps_down_the_numerical_gradient_of_its_loss() -> None:
    lr, start, l2, weight = 0.2, 0.4, 0.05, 0.7
    settings: dict[str, Any] = {
        "optimizer": {"lr": lr, "initial_accumulator": start, "l2": l2},
        "loss": {"scale": weight},
    }
    one = learner(model={"name": "fm", "embedding": D, "init_scale": 0.3}, **settings)
    data = batch(1, seed=8)
    data.exposures.features["tags"] = ListColumn(np.array([4, 2, 4]), np.array([0, 3]))  # type: ignore[index]
    x, y = rows_of(one, data)[0], float(data.label[0])
    before = weights_of(one)

    def objective(of: Any, place: int, by: float) -> float:
        moved = {i: w.copy() for i, w in before.items()}
        moved[of][place] += by
        p = sigmoid(naive_logit(moved, x))
        penalty = 0.5 * l2 * sum(float(moved[i] @ moved[i]) for i in x)
        return -weight * (y * math.log(p) + (1 - y) * math.log(1 - p)) + penalty

    assert one.learn(data)[0] == pytest.approx(sigmoid(naive_logit(before, x)), abs=1e-6)
    after, h = weights_of(one), 1e-4
    for i in [*x, "bias"]:
        for j in range(1 if i == "bias" else 1 + D):
            g = (objective(i, j, h) - objective(i, j, -h)) / (2 * h)
            step = -lr * g / math.sqrt(start + g * g)
            assert after[i][j] - before[i][j] == pytest.approx(step, abs=2e-6), (i, j)
    untouched = [i for i in before if i not in x and i != "bias"]
    assert all(np.array_equal(before[i], after[i]) for i in untouched)


PROBABILITIES = st.floats(0.0, 1.0)


@given(PROBABILITIES, PROBABILITIES, st.sampled_from([0, 1]), PROBABILITIES)
def test_the_compiled_weight_is_that_of_the_losses(p: float, p_last: float, y: int, alpha: float) -> None:
    for near in (p_last, p, p + TIE, p - TIE, p + 2 * TIE, p - 2 * TIE):
        assert reloop_weight(p, near, float(y), alpha, TIE) == reloop_weight_of_losses(p, near, y, alpha)


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_reloop_within_the_loop_equals_weights_that_are_given(rule: dict[str, Any]) -> None:
    def after(loss: dict[str, Any]) -> str:
        one = learner(loss={"name": "reloop", "alpha": 0.6, "scale": 0.8} | loss, **rule)
        for i in range(60):
            one.learn(batch(1, seed=i, pctr=np.array([i / 60])))
        return digest(one.to_bytes())

    # A request of one exposure errs as its exposure does; lists take their weights from the losses' own formula.
    assert after({"level": "item"}) == after({"level": "list"}) != after({"scale": 0.7})


def test_a_loss_of_a_plugin_is_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    def halved(config: Any, p: np.ndarray, p_last: np.ndarray, y: np.ndarray, has_last: np.ndarray) -> Any:
        return y, np.full(len(y), 0.5)

    monkeypatch.setitem(plugins._registered, ("loss", "halved"), halved)
    one, other = learner(loss={"name": "halved"}, **RULES[2]), learner(loss={"scale": 0.5}, **RULES[2])
    one.learn(batch())
    other.learn(batch())
    assert digest(one.to_bytes()) == digest(other.to_bytes())


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("loss", [*CONSTANT_WEIGHTS, "reloop"])
def test_the_size_of_batches_changes_nothing(rule: dict[str, Any], loss: str) -> None:
    data = batch(60, seed=2)
    outcomes = []
    for size in (1, 7, 60):
        one = learner(loss={"name": loss, "alpha": 0.4}, **rule)
        p = np.concatenate([one.learn(data.part(slice(at, at + size))) for at in range(0, 60, size)])
        outcomes.append((digest(one.to_bytes()), p.tolist()))
    assert outcomes[0] == outcomes[1] == outcomes[2]


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_another_rate_multiplies_the_configured_ones(rule: dict[str, Any]) -> None:
    raised = learner(**rule)
    raised.rate = 3.0
    tripled = learner(**rule | {"optimizer": rule["optimizer"] | {"lr": 3 * rule["optimizer"]["lr"]}})
    for seed in (1, 2):
        np.testing.assert_allclose(raised.learn(batch(seed=seed)), tripled.learn(batch(seed=seed)), rtol=1e-6)


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_a_rate_that_changes_moves_the_next_steps_and_no_weight(rule: dict[str, Any]) -> None:
    one, steady = learner(**rule), learner(**rule)
    for each in (one, steady):
        each.learn(batch(200, seed=1))
    features = batch(seed=2).exposures.features
    before = one.predict(features)
    one.rate = 4.0
    assert np.array_equal(one.predict(features), before)
    restored = learner(**rule)
    restored.restore(one.to_bytes())
    assert restored.rate == 4.0
    with pytest.raises(ValueError, match=r"rate: got 0\.0, must be above 0"):
        one.rate = 0.0
    moved = []
    for each in (one, restored, steady):
        each.learn(batch(1, seed=5))
        moved.append(np.abs(each.predict(features) - before).sum())
    assert moved[0] == moved[1] and 2 < moved[0] / moved[2] < 6


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_a_cold_start_forgets_all_but_the_version(rule: dict[str, Any]) -> None:
    one = learner(**rule)
    fresh = digest(one.to_bytes())
    one.learn(batch())
    one.publish()
    one.reset()
    assert digest(one.to_bytes()) == fresh and one.version == 1


def test_vectors_begin_by_the_seed() -> None:
    fm = RULES[2]
    features = batch().exposures.features
    assert np.array_equal(learner(seed=1, **fm).predict(features), learner(seed=1, **fm).predict(features))
    assert not np.array_equal(learner(seed=1, **fm).predict(features), learner(seed=2, **fm).predict(features))
    np.testing.assert_allclose(learner(model={"name": "lr"}).predict(features), BASE_RATE)


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_a_representation_holds_first_order_parts_and_the_sum_of_vectors(rule: dict[str, Any]) -> None:
    one = learner(**rule)
    one.learn(batch(200, seed=1))
    frozen, data = one.publish(), batch(20, seed=2)
    h = frozen.represent(data.exposures.features)
    d = D if rule["model"]["name"] == "fm" else 0
    assert h.shape == (20, len(FIELDS) + d) and h.dtype == np.float32
    table = unpack(frozen.to_bytes())[1]["weights.table"].astype(np.float64)
    for i, x in enumerate(rows_of(one, data)):
        index = {key: 1 if key == "price" else 2 + key for key in x}
        assert h[i, : len(FIELDS)].sum() == pytest.approx(sum(table[index[k], 0] * x[k] for k in x), abs=1e-5)
        vectors = sum(table[index[k], 1:] * x[k] for k in x)
        np.testing.assert_allclose(h[i, len(FIELDS) :], vectors, atol=1e-5)


def test_a_snapshot_of_another_optimizer_or_size_is_refused() -> None:
    ftrl, adagrad, fm = (learner(**rule) for rule in RULES)
    with pytest.raises(StateError, match="optimizer 'adagrad', expected a linear learner's with ftrl"):
        ftrl.restore(adagrad.to_bytes())
    with pytest.raises(StateError, match="of another model: a table of"):
        adagrad.restore(fm.to_bytes())
    with pytest.raises(StateError, match=r"weights\.table has shape"):
        freeze_from_bytes(fm.publish().to_bytes(), FIELDS, config(**RULES[1]))


GROWING = [
    FieldConfig(name="user", mode="growing", buckets=20_000),
    FieldConfig(name="tags", kind="list", mode="growing", buckets=5),
]


def growing(number: int) -> ExampleBatch:
    """Examples most of whose users are new: more than the rows that are drawn at once."""
    tags = ListColumn(np.array([f"t{i % 7}" for i in range(2000)], dtype=object), np.arange(2001))
    return examples(2000, number, features={"user": np.arange(2000) + 1500 * number, "tags": tags})


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_a_table_that_grows_goes_on_from_its_snapshot(rule: dict[str, Any]) -> None:
    whole, restored = (make_learner(config(**rule), GROWING, name="x", seed=1, base_rate=BASE_RATE) for _ in range(2))
    for number in range(3):
        whole.learn(growing(number))
        frozen = whole.publish()
    whole.learn(growing(3))
    restored.restore(whole.to_bytes())
    assert restored.to_bytes() == whole.to_bytes()
    for number in (4, 5, 6):
        assert np.array_equal(whole.learn(growing(number)), restored.learn(growing(number)))
    assert restored.to_bytes() == whole.to_bytes() and whole.encoder.rows == 2 + 11_000 + 5
    features = growing(5).exposures.features
    thawed = freeze_from_bytes(frozen.to_bytes(), GROWING, config(**rule))
    assert np.array_equal(thawed.predict(features), frozen.predict(features))
    assert not np.array_equal(frozen.predict(features), whole.predict(features))


def test_a_new_value_begins_the_same_whenever_it_comes() -> None:
    early, late = (make_learner(config(**RULES[2]), GROWING, name="x", seed=1, base_rate=BASE_RATE) for _ in range(2))
    for number in range(4):
        early.encoder.learn_values(growing(number).exposures.features)
    early.learn(growing(3).part(slice(0, 0)))
    for number in range(4):
        late.encoder.learn_values(growing(number).exposures.features)
        late.learn(growing(3).part(slice(0, 0)))
    assert early.to_bytes() == late.to_bytes()


@pytest.mark.slow
def test_an_arm_learns_linearly(tmp_path: Path) -> None:
    kinds = ({"model": {"name": "lr"}, "optimizer": {"name": "ftrl"}}, {"optimizer": {"name": "adagrad"}})
    losses = ({"name": "bce"}, {"name": "reloop", "p_last": "last_version"})
    learners = [{"kind": "linear", "loss": loss, **kind} for kind in kinds for loss in losses]
    arms = [{"name": f"arm{i}", "share": 0.25, "learner": learner} for i, learner in enumerate(learners)]

    def outcome(workers: int) -> tuple[str, dict[str, str]]:
        folder = tmp_path / str(workers)
        scenario = parse_scenario(apply_overrides({**yaml.safe_load(TINY), "arms": arms}, ["world.users.n=150"]))
        start_run(scenario, folder, command="test", workers=workers, quiet=True)
        return (folder / "daily.csv").read_text(), json.loads((folder / "manifest.json").read_text())["digests"]

    alone = outcome(workers=1)
    assert alone == outcome(workers=2)
    assert len({*alone[1].values()}) == 4
