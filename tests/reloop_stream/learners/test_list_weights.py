"""A list's values are averaged by their weights, in every learner: against numpy, autograd, and lists without weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from reloop_stream.config import FieldConfig, LearnerConfig
from reloop_stream.errors import EventError
from reloop_stream.events import ListColumn
from reloop_stream.features.encoder import Encoder
from reloop_stream.learners import digest, make_learner
from reloop_stream.learners.base import Learner
from reloop_stream.learners.torch_learner import TorchLearner
from reloop_stream.losses import d_bce
from reloop_stream.serving.scores import columns_of
from reloop_stream.testing import examples

FIELDS = [
    FieldConfig(name="user", mode="exact", buckets=50),
    FieldConfig(name="tags", kind="list", mode="exact", buckets=16),
    FieldConfig(name="words", kind="list", mode="growing", buckets=16),
]
KINDS: dict[str, dict[str, Any]] = {
    "torch fm": {"model": {"name": "fm", "embedding": 4}},
    "torch deepfm": {"model": {"name": "deepfm", "embedding": 4, "hidden": [8]}},
    "linear lr": {"kind": "linear", "model": {"name": "lr"}, "optimizer": {"name": "ftrl"}},
    "linear fm": {"kind": "linear", "model": {"name": "fm", "embedding": 4}},
    "river lr": {"kind": "river", "model": {"name": "lr"}},
    "river fm": {"kind": "river", "model": {"name": "fm", "embedding": 4}},
}


def learner(kind: str, **more: Any) -> Learner:
    return make_learner(LearnerConfig.model_validate(KINDS[kind] | more), FIELDS, name="x", seed=1, base_rate=0.2)


def lists(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Values and offsets: lists of none to four."""
    rng = np.random.default_rng(seed)
    offsets = np.concatenate(([0], np.cumsum(rng.integers(0, 5, n))))
    return rng.integers(0, 12, int(offsets[-1])), offsets


def batch(seed: int, weigh: Any = None, n: int = 48) -> Any:
    """weigh: makes the weights of so many values."""
    features: dict[str, Any] = {"user": np.random.default_rng(seed).integers(0, 50, n)}
    for at, name in enumerate(("tags", "words")):
        values, offsets = lists(10 * seed + at, n)
        features[name] = ListColumn(values, offsets, None if weigh is None else weigh(len(values)))
    return examples(n, seed, features=features)


def some(n: int) -> np.ndarray:
    return np.random.default_rng(n).choice([0.0, 0.25, 1.0, 3.0, 1e30], n)


def naive_shares(column: ListColumn) -> list[dict[int, float]]:
    """Each row's value → share: its weights over the sum of all; none where that is 0."""
    found = []
    assert column.weights is not None
    for a, b in zip(column.offsets[:-1], column.offsets[1:], strict=True):
        total = float(column.weights[a:b].sum())
        shares: dict[int, float] = {}
        for value, weight in zip(column.values[a:b].tolist(), column.weights[a:b].tolist(), strict=True):
            if total:
                shares[value] = shares.get(value, 0.0) + weight / total
        found.append(shares)
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weight", [1.0, 0.25, 8.0])
def test_equal_weights_are_none_bit_for_bit(kind: str, weight: float) -> None:
    plain, equal = learner(kind), learner(kind)
    for seed in (1, 2):
        assert np.array_equal(plain.learn(batch(seed)), equal.learn(batch(seed, lambda n: np.full(n, weight))))
    assert digest(plain.to_bytes()) == digest(equal.to_bytes())
    asked = [batch(3, weigh).exposures.features for weigh in (None, np.ones)]
    for ask in ("predict", "represent"):
        assert np.array_equal(*(getattr(each.publish(), ask)(x) for each, x in zip((plain, equal), asked, strict=True)))


def test_shares_are_those_of_numpy_and_their_gradients_those_of_autograd() -> None:
    for kind in ("torch fm", "torch deepfm"):
        one = learner(kind, optimizer={"name": "sgd", "lr": 0.5})
        assert isinstance(one, TorchLearner)
        data = batch(1, some)
        one.learn(batch(2, some))
        one._net.learn_values(data.exposures.features)
        fresh = learner(kind, optimizer={"name": "sgd", "lr": 0.5})
        fresh.restore(one.to_bytes())
        assert isinstance(fresh, TorchLearner)
        before = torch.from_numpy(fresh._net.arrays()["table"].copy()).requires_grad_()
        encoder, parts = fresh.encoder, []
        features = data.exposures.features
        for field in encoder.fields:
            mixed = np.zeros((len(data), len(before)), dtype=np.float32)
            if field.kind == "list":
                single = {value: _row(encoder, field.name, value) for value in range(12)}
                for row, shares in zip(mixed, naive_shares(features[field.name]), strict=True):
                    for value, share in shares.items():
                        row[single[value]] += share
            else:
                mixed[np.arange(len(data)), encoder.encode_some(features, [field.name]).slots[:, 0]] = 1
            parts.append(torch.from_numpy(mixed) @ before)
        logit = fresh._net.model(torch.stack(parts, 1))
        p = torch.sigmoid(logit).detach().numpy()
        assert fresh.predict(features) == pytest.approx(p, abs=1e-6)
        logit.backward(torch.from_numpy((d_bce(p, data.label) / len(data)).astype(np.float32)))
        fresh.learn(data)
        assert before.grad is not None
        step = fresh._net.arrays()["table"] - before.detach().numpy()
        np.testing.assert_allclose(step, -0.5 * before.grad.numpy(), atol=1e-7)


def _row(encoder: Encoder, name: str, value: int) -> int:
    column = ListColumn(np.array([value]), np.array([0, 1]))
    return int(encoder.encode_some({name: column}, [name]).lists[0].rows[0])


@pytest.mark.parametrize("kind", KINDS)
def test_whole_weights_are_values_that_come_so_often(kind: str) -> None:
    def repeated(column: ListColumn) -> ListColumn:
        assert column.weights is not None
        times = column.weights.astype(int)
        ends = np.concatenate(([0], np.cumsum(times)))[column.offsets]
        return ListColumn(np.repeat(column.values, times), ends)

    one, other = learner(kind), learner(kind)
    for seed in (1, 2, 3):
        data = batch(seed, lambda n: np.random.default_rng(n).integers(1, 4, n).astype(float))
        often = {
            name: repeated(column) if isinstance(column, ListColumn) else column
            for name, column in data.exposures.features.items()
        }
        assert one.learn(data) == pytest.approx(other.learn(examples(48, seed, features=often)), abs=1e-6)
    for ask in ("predict", "represent"):
        found, expected = (
            getattr(each.publish(), ask)(x) for each, x in ((one, data.exposures.features), (other, often))
        )
        np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_list_whose_weights_are_all_0_is_empty_and_the_largest_overflow_nothing(kind: str) -> None:
    one = learner(kind)
    one.learn(batch(1))
    model = one.publish()
    user, empty = np.array([1]), ListColumn(np.zeros(0, np.int64), np.array([0, 0]))

    def said(*weights: float) -> float:
        column = ListColumn(np.array([3, 5]), np.array([0, 2]), np.array(weights))
        return float(model.predict({"user": user, "tags": column, "words": empty})[0])

    assert said(0, 0) == float(model.predict({"user": user, "tags": empty, "words": empty})[0]) != said(1, 1)
    assert said(3e38, 3e38) == pytest.approx(said(1, 1)) and said(1e-300, 3e-300) == pytest.approx(said(1, 3))


def test_rows_given_one_by_one_may_carry_weights() -> None:
    rows: list[dict[str, Any]] = [{"tags": {"values": ["a", "b"], "weights": [0.5, 2]}}, {"tags": ["c"]}, {"tags": []}]
    column = columns_of(rows)["tags"]
    assert isinstance(column, ListColumn) and column.weights is not None
    assert column.values.tolist() == ["a", "b", "c"] and column.weights.tolist() == [0.5, 2.0, 1.0]
    for wrong in ({"values": [1]}, {"values": [1], "weights": []}, {"values": [1], "weights": ["a"]}, {"a": 1}):
        with pytest.raises(EventError, match=r"features\.tags: got .*a list with weights has"):
            columns_of([{"tags": wrong}])
