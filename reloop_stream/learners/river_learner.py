"""river's logistic regression and factorization machine behind the learner protocol: one example at a time."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from river import optim
from river.utils import VectorDict

from reloop_stream.config import FieldConfig, LearnerConfig
from reloop_stream.errors import StateError
from reloop_stream.events import Column, ExampleBatch
from reloop_stream.features.check import check_candidates, check_examples
from reloop_stream.features.encoder import Encoded, Encoder
from reloop_stream.learners.base import WithoutMemory, batch_by_batch, check_finite
from reloop_stream.learners.last_predictions import groups_of, last_predictions
from reloop_stream.learners.river_estimators import ReLoopFMClassifier, ReLoopLogisticRegression, sigmoid
from reloop_stream.losses import target_and_weight
from reloop_stream.state.packing import pack, part_of, prefixed, unpack

__all__ = ["RiverLearner", "RiverModel"]

WEIGHTS = "weights."
VOCABULARY = "vocabulary."
LAST = "last."
NUMBER = -1  # numbers are keyed by -1 - their place, categories by their row of the encoder


class _Rate(optim.base.Scheduler):  # type: ignore[misc]
    """A constant learning rate that a factor multiplies."""

    def __init__(self, lr: float) -> None:
        self.lr = lr
        self.factor = 1.0

    def get(self, t: int) -> float:
        return self.lr * self.factor


class _Initializer(optim.initializers.Initializer):  # type: ignore[misc]
    """Normal draws whose state can be kept: the n-th call gives the same vector in every process."""

    def __init__(self, seed: int, scale: float) -> None:
        self.seed = seed
        self.scale = scale
        self.calls = 0

    def __call__(self, shape: int = 1) -> Any:
        self.calls += 1
        return np.random.default_rng((self.seed, self.calls)).normal(0.0, self.scale, shape)


def _rows(encoder: Encoder, encoded: Encoded) -> list[dict[int, float]]:
    """Each row as river wants it: key → value; categories count 1, a list's values 1 / its length, or by their weights."""
    rows = [dict.fromkeys(slots, 1.0) for slots in encoded.slots.tolist()]
    for one in encoded.lists:
        keys, at = one.rows.tolist(), one.offsets.tolist()
        weights = [1.0] * len(keys) if one.weights is None else one.weights.tolist()
        for row, a, b in zip(rows, at, at[1:], strict=False):
            for key, weight in zip(keys[a:b], weights[a:b], strict=True):
                row[key] = row.get(key, 0.0) + weight / (b - a)
    for i, values in enumerate(encoded.numbers.T.tolist()):
        for row, value in zip(rows, values, strict=True):
            row[NUMBER - i] = value
    return rows


class _Weights:
    """Weights as plain numbers: bias, key → first-order weight, key → vector [d]; d is 0 for lr."""

    def __init__(self, bias: float, first: dict[int, float], vectors: dict[int, np.ndarray], d: int) -> None:
        self.bias, self.first, self.vectors, self.d = bias, first, vectors, d

    def first_of(self, keys: np.ndarray) -> np.ndarray:
        """The first-order weights of keys, in their shape; 0 for those never learnt."""
        found = [self.first.get(key, 0.0) for key in keys.ravel().tolist()]
        return np.array(found, dtype=np.float64).reshape(keys.shape)

    def parts(self, rows: Sequence[Mapping[int, float]]) -> tuple[np.ndarray, np.ndarray]:
        """For each row: first order plus pairs within it [n], and the sum of its vectors [n, d]."""
        alone, sums = np.zeros(len(rows)), np.zeros((len(rows), self.d))
        for i, row in enumerate(rows):
            total, squares, linear = np.zeros(self.d), 0.0, 0.0
            for key, value in row.items():
                linear += value * self.first.get(key, 0.0)
                vector = self.vectors.get(key)
                if vector is not None:
                    total += value * vector
                    squares += value * value * float(vector @ vector)
            alone[i] = linear + 0.5 * (float(total @ total) - squares)
            sums[i] = total
        return alone, sums

    def arrays(self) -> dict[str, np.ndarray]:
        keys, vector_keys = sorted(self.first), sorted(self.vectors)
        vectors = [self.vectors[key] for key in vector_keys]
        return {
            WEIGHTS + "bias": np.array([self.bias]),
            WEIGHTS + "keys": np.array(keys, dtype=np.int64),
            WEIGHTS + "first": np.array([self.first[key] for key in keys], dtype=np.float64),
            WEIGHTS + "vector_keys": np.array(vector_keys, dtype=np.int64),
            WEIGHTS + "vectors": np.array(vectors, dtype=np.float64).reshape(len(vectors), self.d),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        get = part_of(WEIGHTS, arrays)
        try:
            first = dict(zip(get["keys"].tolist(), get["first"].tolist(), strict=True))
            vectors = dict(zip(get["vector_keys"].tolist(), get["vectors"].copy(), strict=True))
            return cls(float(get["bias"][0]), first, vectors, get["vectors"].shape[1])
        except (KeyError, IndexError, ValueError):
            raise StateError("state: holds no weights of a river model") from None


class RiverModel:
    """A frozen version of a river model. Scores by partial sums: river's own way is one example at a time."""

    def __init__(self, name: str, version: int, encoder: Encoder, weights: _Weights) -> None:
        self.name = name
        self.version = version
        self._encoder = encoder
        self._weights = weights

    def predict(self, features: Mapping[str, Column]) -> np.ndarray:
        alone, _ = self._weights.parts(_rows(self._encoder, self._encoder.encode(features)))
        result: np.ndarray = sigmoid(alone + self._weights.bias)
        return result

    def represent(self, features: Mapping[str, Column]) -> np.ndarray:
        """Each field's first-order part and, for fm, the sum of all vectors: float32 [n, fields + d]."""
        encoded, weights = self._encoder.encode(features), self._weights
        parts = [weights.first_of(encoded.slots)]
        parts += [one.means(weights.first_of(one.rows))[:, None] for one in encoded.lists]
        parts.append(encoded.numbers * weights.first_of(NUMBER - np.arange(encoded.numbers.shape[1])))
        parts.append(weights.parts(_rows(self._encoder, encoded))[1])
        return np.concatenate(parts, axis=1, dtype=np.float32)

    def score_candidates(
        self, request_features: Mapping[str, Column], item_features: Mapping[str, Column], candidates: np.ndarray
    ) -> np.ndarray:
        theirs = [name for name in self._encoder.names if name not in request_features]
        request_alone, request_sums = self._side(request_features, request_features)
        item_alone, item_sums = self._side(item_features, theirs)
        candidates = check_candidates(candidates, len(request_alone), len(item_alone))
        cross = np.einsum("rd,rkd->rk", request_sums, item_sums[candidates])
        logit = self._weights.bias + request_alone[:, None] + item_alone[candidates] + cross
        result: np.ndarray = sigmoid(logit)
        return result

    def _side(self, features: Mapping[str, Column], names: Any) -> tuple[np.ndarray, np.ndarray]:
        all_numbers = [field.name for field in self._encoder.numbers]
        present = [i for i, name in enumerate(all_numbers) if name in names]
        rows = _rows(self._encoder, self._encoder.encode_some(features, list(names)))
        if present != list(range(len(present))):
            # The encoder numbers what it was given: give back the model's own keys.
            rows = [
                {NUMBER - present[NUMBER - key] if key < 0 else key: value for key, value in row.items()}
                for row in rows
            ]
        return self._weights.parts(rows)

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """What `from_state` takes."""
        vocabulary, values = self._encoder.state()
        meta = {"kind": "river", "name": self.name, "version": self.version, "vocabulary": vocabulary}
        return meta, self._weights.arrays() | prefixed(VOCABULARY, values)

    def to_bytes(self) -> bytes:
        return pack(*self.state())

    @classmethod
    def from_state(
        cls,
        meta: Mapping[str, Any],
        arrays: Mapping[str, np.ndarray],
        fields: Sequence[FieldConfig],
        config: LearnerConfig,
    ) -> Self:
        """Raises StateError where the state is another model's."""
        if meta.get("kind") != "river":
            raise StateError(f"state: is of kind {meta.get('kind')!r}, expected a river model")
        encoder = Encoder(fields)
        encoder.restore(meta["vocabulary"], part_of(VOCABULARY, arrays))
        return cls(meta["name"], meta["version"], encoder, _Weights.from_arrays(arrays))


class RiverLearner(WithoutMemory):
    """river's logistic regression (lr) or factorization machine (fm), one example after the other.

    The estimators are those of `reloop_stream.river`. They are given the target and weight of any loss, not p_last.
    """

    def __init__(
        self, config: LearnerConfig, fields: Sequence[FieldConfig], *, name: str, seed: int, base_rate: float
    ) -> None:
        self.name = name
        self.version = 0
        self._fields = list(fields)
        self._config = config
        self._seed = seed
        self._bias = math.log(base_rate / (1 - base_rate))
        self._last: RiverModel | None = None
        optimizer = config.optimizer
        self._weights_rate = _Rate(optimizer.embedding_lr or optimizer.lr)
        self._other_rate = _Rate(optimizer.lr)
        self._begin()

    def _begin(self) -> None:
        self.encoder = Encoder(self._fields)
        config, optimizer = self._config, self._config.optimizer
        weights = {"sgd": optim.SGD, "adagrad": optim.AdaGrad, "adam": optim.Adam}[optimizer.name](self._weights_rate)
        if config.model.name == "lr":
            self._model = ReLoopLogisticRegression(
                alpha=config.loss.alpha, optimizer=weights, l2=optimizer.l2, intercept_init=self._bias,
                intercept_lr=self._other_rate,
            )  # fmt: skip
            return
        self._model = ReLoopFMClassifier(
            alpha=config.loss.alpha, n_factors=config.model.embedding, weight_optimizer=weights,
            latent_lr=self._other_rate, l2_weight=optimizer.l2, l2_latent=optimizer.l2, intercept_init=self._bias,
            intercept_lr=self._other_rate, latent_initializer=_Initializer(self._seed, config.model.init_scale),
        )  # fmt: skip

    @property
    def rate(self) -> float:
        """Multiplies the configured learning rates."""
        return self._weights_rate.factor

    @rate.setter
    def rate(self, rate: float) -> None:
        self._weights_rate.factor = self._other_rate.factor = rate

    def _weights(self) -> _Weights:
        model = self._model
        if self._config.model.name == "lr":
            return _Weights(float(model.intercept), {k: float(v) for k, v in dict(model.weights).items()}, {}, 0)
        first = {int(k): float(v) for k, v in dict(model.weights).items()}
        vectors = {int(k): np.array(v, dtype=np.float64) for k, v in model.latents.items()}
        return _Weights(float(model.intercept), first, vectors, self._config.model.embedding)

    def _now(self) -> RiverModel:
        return RiverModel(self.name, self.version, self.encoder.frozen(), self._weights())

    def predict(self, features: Mapping[str, Column]) -> np.ndarray:
        return self._now().predict(features)

    @np.errstate(
        over="ignore", invalid="ignore"
    )  # weights that overflow are told of once, when they are to be published
    def learn(self, examples: ExampleBatch, foreign: np.ndarray | None = None, size: int | None = None) -> np.ndarray:
        check_examples(examples, foreign)
        return batch_by_batch(self._learn, examples, foreign, size)

    def _learn(self, examples: ExampleBatch, foreign: np.ndarray | None) -> np.ndarray:
        features = examples.exposures.features
        self.encoder.learn_values(features)
        before = self._step(examples, foreign)
        self.encoder.learn_numbers(features)
        return before

    def _step(self, examples: ExampleBatch, foreign: np.ndarray | None) -> np.ndarray:
        loss, features = self._config.loss, examples.exposures.features
        p_last, known = last_predictions(loss, examples, foreign, self._last)
        group, label, row_weight = groups_of(loss, examples), examples.label, examples.exposures.weight
        rows = _rows(self.encoder, self.encoder.encode(features))
        if group is not None:  # errors are compared by group, so all rows are predicted before the first is learnt
            before = self.predict(features)
            target, weight = target_and_weight(loss, before, p_last, label, known, group, row_weight)
            for row, y, w in zip(rows, target.tolist(), weight.tolist(), strict=True):
                self._model.step(row, y, w)
            return before
        before = np.empty(len(rows))
        for i, row in enumerate(rows):
            one = slice(i, i + 1)
            before[i] = self._model.pctr(row)
            own = None if row_weight is None else row_weight[one]
            target, weight = target_and_weight(loss, before[one], p_last[one], label[one], known[one], None, own)
            self._model.step(row, float(target[0]), float(weight[0]))
        return before

    def publish(self) -> RiverModel:
        weights = self._weights()
        check_finite(self.name, self.version, weights.arrays())
        self.version += 1
        self._last = RiverModel(self.name, self.version, self.encoder.frozen(), weights)
        return self._last

    def reset(self) -> None:
        self._begin()

    def _optimizer_states(self) -> dict[str, Any]:
        """name → key → number, of whatever the weights' optimiser keeps."""
        optimizer = self._optimizer_of_weights()
        states: dict[str, Any] = {"n_iterations": {0: float(optimizer.n_iterations)}}
        for name in ("g2", "m", "v"):
            if isinstance(state := getattr(optimizer, name, None), (dict, VectorDict)):
                states[name] = {int(key): float(state[key]) for key in state}
        return states

    def _optimizer_of_weights(self) -> Any:
        return self._model.optimizer if self._config.model.name == "lr" else self._model.weight_optimizer

    def to_bytes(self) -> bytes:
        meta, arrays = self._now().state()
        check_finite(self.name, self.version, arrays)
        for name, state in self._optimizer_states().items():
            keys = sorted(state)
            arrays[f"optimizer.{name}.keys"] = np.array(keys, dtype=np.int64)
            arrays[f"optimizer.{name}.values"] = np.array([state[key] for key in keys], dtype=np.float64)
        if self._last is not None:
            meta["last"], last = self._last.state()
            arrays |= prefixed(LAST, last)
        calls = getattr(getattr(self._model, "latent_initializer", None), "calls", 0)
        meta |= {"kind": "river-learner", "model": self._config.model.name, "calls": calls, "rate": self.rate}
        return pack(meta, arrays)

    def restore(self, data: bytes) -> None:
        meta, arrays = unpack(data)
        if meta.get("kind") != "river-learner" or meta.get("model") != self._config.model.name:
            raise StateError(f"state: of {meta.get('kind')!r} {meta.get('model')!r} is another learner's")
        weights = _Weights.from_arrays(arrays)
        self._begin()
        model = self._model
        for key, value in weights.first.items():
            (model._weights if self._config.model.name == "lr" else model.weights)[key] = value
        model.intercept = weights.bias
        if self._config.model.name == "fm":
            model.latent_initializer.calls = meta["calls"]
            for key, vector in weights.vectors.items():
                model.latents[key] = vector.copy()
        self._restore_optimizer(arrays)
        self.encoder.restore(meta["vocabulary"], part_of(VOCABULARY, arrays))
        self.version, self.rate = meta["version"], meta["rate"]
        self._last = None
        if "last" in meta:
            self._last = RiverModel.from_state(meta["last"], part_of(LAST, arrays), self._fields, self._config)

    def _restore_optimizer(self, arrays: Mapping[str, np.ndarray]) -> None:
        optimizer = self._optimizer_of_weights()
        for name in {key.split(".")[1] for key in arrays if key.startswith("optimizer.")}:
            keys = arrays[f"optimizer.{name}.keys"].tolist()
            values = arrays[f"optimizer.{name}.values"].tolist()
            if name == "n_iterations":
                optimizer.n_iterations = int(values[0])
                continue
            state = dict(zip(keys, values, strict=True))
            if isinstance(mine := getattr(optimizer, name), dict):
                mine.update(state)
                continue
            # What river itself keeps: a VectorDict for its linear models, a dictionary for its factorization machines.
            kept = VectorDict(state) if self._config.model.name == "lr" else defaultdict(float, state)
            setattr(optimizer, name, kept)
