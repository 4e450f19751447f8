"""Logistic regression by FTRL-proximal or Adagrad, and a factorization machine by Adagrad, compiled: for fast streams.

One example is learnt after the other, so the size of batches changes no weight. Categories count 1, the values of a list one
over their number, or their shares of its weights, numbers as they are; a factorization machine pairs all of these (Rendle 2010), also two values of one list.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from reloop_stream.config import FieldConfig, LearnerConfig
from reloop_stream.errors import StateError
from reloop_stream.events import Column, ExampleBatch
from reloop_stream.features.check import check_candidates, check_examples
from reloop_stream.features.encoder import Encoded, Encoder
from reloop_stream.learners import linear_kernels as kernels
from reloop_stream.learners.base import WithoutMemory, batch_by_batch, check_finite
from reloop_stream.learners.last_predictions import groups_of, last_predictions
from reloop_stream.learners.linear_kernels import Goal, Sparse, Step
from reloop_stream.losses import CONSTANT_WEIGHTS, TIE, target_and_weight
from reloop_stream.state.packing import pack, part_of, prefixed, unpack

__all__ = ["LinearLearner", "LinearModel"]

VOCABULARY = "vocabulary."
BIAS = 0  # its row of the table; those of the numbers follow, then the encoder's
DRAWN_AT_ONCE = 4096  # rows whose first vectors come from one generator, whatever the table's size
ADAGRAD_EPS = 1e-10


def _sparse(encoder: Encoder, features: Mapping[str, Column], names: Sequence[str]) -> tuple[Encoded, Sparse]:
    """The named fields of a batch, encoded and as sparse rows of the table."""
    encoded = encoder.encode_some(features, names)
    n = len(encoded)
    if not encoded.lists and not encoded.numbers.size:
        width = encoded.slots.shape[1]
        rows = (encoded.slots + _first_row(encoder)).ravel()
        starts = np.arange(n + 1, dtype=np.int64) * width
        return encoded, Sparse(_unsigned(rows), np.ones(n * width, dtype=np.float32), _unsigned(starts))
    numbers = [field.name for field in encoder.numbers]
    number_rows = np.array([BIAS + 1 + i for i, name in enumerate(numbers) if name in names], dtype=np.int64)
    lists = encoded.lists
    flat = np.concatenate([one.rows for one in lists]) if lists else np.empty(0, dtype=np.int64)
    list_weights = np.ones(len(flat) if any(one.weights is not None for one in lists) else 0)
    offsets = np.empty((len(lists), n + 1), dtype=np.int64)
    before = 0
    for i, one in enumerate(lists):
        offsets[i] = one.offsets + before
        if one.weights is not None:
            list_weights[before : before + len(one.rows)] = one.weights
        before += len(one.rows)
    total = encoded.slots.size + len(flat) + encoded.numbers.size
    rows, starts = np.empty(total, dtype=np.int64), np.empty(n + 1, dtype=np.int64)
    values = np.empty(total, dtype=np.float32)
    first = _first_row(encoder)
    kernels.flatten(
        encoded.slots, flat, list_weights, offsets, encoded.numbers, first, number_rows, rows, values, starts
    )
    return encoded, Sparse(_unsigned(rows), values, _unsigned(starts))


def _unsigned(integers: np.ndarray) -> np.ndarray:
    """The same numbers, none of which is negative: numba then leaves out the test for an index from the end."""
    return integers.view(np.uint64)


def _first_row(encoder: Encoder) -> int:
    """The table's row of the encoder's row 0."""
    return BIAS + 1 + len(encoder.numbers)


class LinearModel:
    """A frozen version of a linear model. weights: [rows, 1 + d], the bias in row 0, of which the last d are vectors."""

    def __init__(self, name: str, version: int, encoder: Encoder, weights: np.ndarray) -> None:
        self.name = name
        self.version = version
        self._encoder = encoder
        self._weights = weights

    def predict(self, features: Mapping[str, Column]) -> np.ndarray:
        _, batch = _sparse(self._encoder, features, self._encoder.names)
        p = np.empty(len(batch.starts) - 1)
        kernels.probabilities(self._weights, self._weights.shape[1] - 1, 0.0, batch, p)
        return p

    def represent(self, features: Mapping[str, Column]) -> np.ndarray:
        """Each field's first-order part and, for fm, the sum of all vectors: float32 [n, fields + d]."""
        encoded, batch = _sparse(self._encoder, features, self._encoder.names)
        first, weights = _first_row(self._encoder), self._weights[:, 0]
        parts = [weights[first + encoded.slots]]
        parts += [one.means(weights[first + one.rows])[:, None] for one in encoded.lists]
        parts.append(encoded.numbers * weights[BIAS + 1 : first])
        parts.append(self._partial_sums(batch)[1])
        return np.concatenate(parts, axis=1, dtype=np.float32)

    def score_candidates(
        self, request_features: Mapping[str, Column], item_features: Mapping[str, Column], candidates: np.ndarray
    ) -> np.ndarray:
        names = self._encoder.names
        ours = [name for name in names if name in request_features]
        theirs = [name for name in names if name not in request_features]
        requests = self._partial_sums(_sparse(self._encoder, request_features, ours)[1])
        items = self._partial_sums(_sparse(self._encoder, item_features, theirs)[1])
        candidates = check_candidates(candidates, len(requests[0]), len(items[0]))
        p = np.empty(candidates.shape)
        kernels.candidate_probabilities(float(self._weights[BIAS, 0]), *requests, *items, candidates, p)
        return p

    def _partial_sums(self, batch: Sparse) -> tuple[np.ndarray, np.ndarray]:
        n = len(batch.starts) - 1
        alone, sums = np.empty(n), np.empty((n, self._weights.shape[1] - 1), dtype=self._weights.dtype)
        kernels.partial_sums(self._weights, batch, alone, sums)
        return alone, sums

    def to_bytes(self) -> bytes:
        vocabulary, arrays = _vocabulary(self._encoder)
        meta = {"kind": "linear", "name": self.name, "version": self.version, "vocabulary": vocabulary}
        return pack(meta, arrays | {"weights.table": self._weights})

    @classmethod
    def from_state(
        cls,
        meta: Mapping[str, Any],
        arrays: Mapping[str, np.ndarray],
        fields: Sequence[FieldConfig],
        config: LearnerConfig,
    ) -> Self:
        """Raises StateError where the state is another model's."""
        if meta.get("kind") != "linear":
            raise StateError(f"state: is of kind {meta.get('kind')!r}, expected a linear model")
        encoder = Encoder(fields)
        _restore_vocabulary(encoder, meta, arrays)
        shape = (_first_row(encoder) + encoder.rows, 1 + _vector_size(config))
        weights = arrays.get("weights.table")
        if weights is None or weights.shape != shape:
            found = None if weights is None else weights.shape
            raise StateError(f"state: is of another model: weights.table has shape {found}, expected {shape}")
        return cls(meta["name"], meta["version"], encoder.frozen(), weights)


def _vocabulary(encoder: Encoder) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What the encoder has learnt, as it lies in a state."""
    meta, arrays = encoder.state()
    return meta, prefixed(VOCABULARY, arrays)


def _restore_vocabulary(encoder: Encoder, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    encoder.restore(meta["vocabulary"], part_of(VOCABULARY, arrays))


def _vector_size(config: LearnerConfig) -> int:
    return config.model.embedding if config.model.name == "fm" else 0


class LinearLearner(WithoutMemory):
    """Learns one example after the other by the kernels of `linear_kernels`.

    A loss enters by targets and weights. Those that depend on the prediction are ReLoop's, which the kernel computes at
    the example's turn, and those of any other loss, for which the batch is predicted first.

    optimizer.lr is the rate of the bias, optimizer.embedding_lr (or else lr) that of all other weights, which l1 and l2
    penalise.
    """

    def __init__(
        self, config: LearnerConfig, fields: Sequence[FieldConfig], *, name: str, seed: int, base_rate: float
    ) -> None:
        self.name = name
        self.version = 0
        self._config = config
        self._fields = list(fields)
        self._seed = seed
        self._d = _vector_size(config)
        self._ftrl = config.optimizer.name == "ftrl"
        # Added to the table's own bias, which begins at zero: ftrl has no other way to begin elsewhere.
        self._bias = math.log(base_rate / (1 - base_rate))
        self._rate = 1.0
        self._last: LinearModel | None = None
        self._begin()

    def _begin(self) -> None:
        self.encoder = Encoder(self._fields)
        # lr: double precision costs nothing, and FTRL's difference of roots needs it. fm: single precision is a third
        # faster, since twice as many numbers fit into a vector register and a cache line.
        width = kernels.FTRL_COLUMNS if self._ftrl else 2 * (1 + self._d)
        self._table = np.empty((0, width), dtype=np.float32 if self._d else np.float64)
        self._grow()

    def _used(self) -> int:
        return _first_row(self.encoder) + self.encoder.rows

    def _grow(self) -> None:
        """Make room for all rows of the encoder; amortised by doubling. A row begins the same whenever it comes."""
        have, need = len(self._table), self._used()
        if need <= have:
            return
        capacity = -(-max(need, 2 * have) // DRAWN_AT_ONCE) * DRAWN_AT_ONCE
        table = np.zeros((capacity, self._table.shape[1]), dtype=self._table.dtype)
        table[:have] = self._table
        d = self._d
        if not self._ftrl:
            table[have:, 1 + d :] = self._config.optimizer.initial_accumulator
        for at in range(have, capacity if d else have, DRAWN_AT_ONCE):
            draws = np.random.default_rng((self._seed, at)).standard_normal((DRAWN_AT_ONCE, d), dtype=np.float32)
            table[at : at + DRAWN_AT_ONCE, 1 : 1 + d] = draws * self._config.model.init_scale
        self._table = table

    @property
    def rate(self) -> float:
        return self._rate

    @rate.setter
    def rate(self, rate: float) -> None:
        if not rate > 0:
            raise ValueError(f"rate: got {rate}, must be above 0")
        if self._ftrl:
            self._keep_weights_at(rate)
        self._rate = rate

    def _keep_weights_at(self, rate: float) -> None:
        """FTRL's weights follow from z and the rate: move z, so that another rate changes steps and not weights."""
        step = self._step(rate)
        for part, lr, l1, l2 in (
            (self._table[: BIAS + 1], step.bias_lr, 0.0, 0.0),
            (self._table[BIAS + 1 :], step.lr, step.l1, step.l2),
        ):
            weight, z, _, root = part.T
            at_this_rate = -weight * ((step.smoothing + root) / lr + l2) - np.copysign(l1, weight)
            np.copyto(z, at_this_rate, where=weight != 0)

    def _step(self, rate: float) -> Step:
        config = self._config.optimizer
        lr = config.lr if config.embedding_lr is None else config.embedding_lr
        smoothing = config.beta if self._ftrl else ADAGRAD_EPS
        return Step(rate * lr, rate * config.lr, smoothing, config.l1, config.l2)

    def predict(self, features: Mapping[str, Column]) -> np.ndarray:
        return self._probabilities(_sparse(self.encoder, features, self.encoder.names)[1])

    def _probabilities(self, batch: Sparse) -> np.ndarray:
        p = np.empty(len(batch.starts) - 1)
        kernels.probabilities(self._table, self._d, self._bias, batch, p)
        return p

    def learn(self, examples: ExampleBatch, foreign: np.ndarray | None = None, size: int | None = None) -> np.ndarray:
        check_examples(examples, foreign)
        return batch_by_batch(self._learn, examples, foreign, size)

    def _learn(self, examples: ExampleBatch, foreign: np.ndarray | None) -> np.ndarray:
        features = examples.exposures.features
        self.encoder.learn_values(features)
        self._grow()
        _, batch = _sparse(self.encoder, features, self.encoder.names)
        self.encoder.learn_numbers(features)
        goal, step, p = self._goal(examples, foreign, batch), self._step(self._rate), np.empty(len(examples))
        if self._ftrl:
            kernels.learn_ftrl(self._table, self._bias, batch, goal, step, p)
        else:
            kernels.learn_adagrad(self._table, self._d, self._bias, batch, goal, step, p)
        return p

    def _goal(self, examples: ExampleBatch, foreign: np.ndarray | None, batch: Sparse) -> Goal:
        loss, label, row_weight = self._config.loss, examples.label, examples.exposures.weight
        p_last, known = last_predictions(loss, examples, foreign, self._last)
        group = groups_of(loss, examples)
        nobody = np.zeros(len(examples), dtype=bool)
        if loss.name == "reloop" and group is None:
            target, weight = target_and_weight(loss, p_last, p_last, label, nobody, None, row_weight)
            return Goal(target, weight, p_last, known, loss.alpha, TIE)
        p = p_last if loss.name in CONSTANT_WEIGHTS else self._probabilities(batch)
        target, weight = target_and_weight(loss, p, p_last, label, known, group, row_weight)
        return Goal(target, weight, p_last, nobody, loss.alpha, TIE)

    def publish(self) -> LinearModel:
        weights = self._table[: self._used(), : 1 + self._d].copy()
        check_finite(self.name, self.version, {"weights.table": weights})
        self.version += 1
        weights[BIAS, 0] += self._bias
        self._last = LinearModel(self.name, self.version, self.encoder.frozen(), weights)
        return self._last

    def reset(self) -> None:
        self._begin()

    def to_bytes(self) -> bytes:
        used = self._table[: self._used()]
        check_finite(self.name, self.version, {"weights.table": used[:, : 1 + self._d]})
        vocabulary, arrays = _vocabulary(self.encoder)
        arrays |= {
            "weights.table": used[:, : 1 + self._d],
            "weights.bias": np.array([self._bias]),
            "optimizer.table": used[:, 1 + self._d :],
        }
        if self._last is not None:
            arrays["last"] = np.frombuffer(self._last.to_bytes(), dtype=np.uint8)
        meta = {"kind": "linear-learner", "name": self.name, "version": self.version, "rate": self._rate}
        return pack(meta | {"optimizer": self._config.optimizer.name, "vocabulary": vocabulary}, arrays)

    def restore(self, data: bytes) -> None:
        meta, arrays = unpack(data)
        mine = self._config.optimizer.name
        if meta.get("kind") != "linear-learner" or meta.get("optimizer") != mine:
            raise StateError(
                f"state: of {meta.get('kind')!r} with optimizer {meta.get('optimizer')!r}, expected a linear "
                f"learner's with {mine}"
            )
        self._begin()
        _restore_vocabulary(self.encoder, meta, arrays)
        self._grow()
        used = self._table[: self._used()]
        try:
            table = np.concatenate((arrays["weights.table"], arrays["optimizer.table"]), axis=1)
        except (KeyError, ValueError):
            raise StateError("state: holds no table of a linear learner") from None
        if table.shape != used.shape:
            raise StateError(f"state: is of another model: a table of {table.shape}, expected {used.shape}")
        used[:] = table
        self._bias = float(arrays["weights.bias"][0])
        self._rate, self.version = meta["rate"], meta["version"]
        self._last = None
        if "last" in arrays:
            self._last = LinearModel.from_state(*unpack(arrays["last"].tobytes()), self._fields, self._config)
