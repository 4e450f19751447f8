"""ReLoop2's error memory: what the deployed model got wrong lately, on exposures alike, corrects what it predicts.

Source: Zhu et al., "ReLoop2: Building Self-Adaptive Recommendation Models via Responsive Error Compensation Loop",
KDD 2023, arXiv 2306.08808. The memory learns nothing by gradients: it is written at once when a label comes, and read
with each prediction, both in time that does not depend on how much it holds.

`arrays` hash arrays of 2^bits buckets; a row's bucket in each is given by the signs of `bits` random projections of the
base model's representation of it, so that rows alike share buckets (signed random projections, Charikar 2002). A bucket
sums up the examples that fell into it: their number, their labels y, the base model's predictions p_base, each example as
often as its event's weight says. With the
means ȳ and p̄ of a row's bucket, mean over those of its buckets that hold anything,

    p = clamp(p_base + weight · mean(ȳ - γ·p_base - (1 - γ)·p̄), 0, 1)

At γ = 1 that is (1 - weight)·p_base + weight·ȳ; at γ = 0 the mean error made in the bucket is made up for. A row all of
whose buckets are empty keeps p_base. The paper's buckets also sum up the representations, to weigh buckets by how alike
they are; here they count alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np

from reloop_stream.config import MemoryConfig
from reloop_stream.errors import StateError
from reloop_stream.events import Column, ExampleBatch, take_column
from reloop_stream.features.check import check_examples
from reloop_stream.learners.base import REMEMBERING, FrozenModel, Learner, LearnerWrapper
from reloop_stream.runtime.compiled import compiled
from reloop_stream.state.packing import pack, unpack

__all__ = ["ErrorMemory", "RememberingLearner", "RememberingModel"]

HOUR_MS = 3_600_000
MEMORY = "memory."  # prefix of the memory's arrays and keys in a learner's state


@compiled
def _project(representation, planes, out):  # type: ignore[no-untyped-def]
    """out [n, arrays · bits] = representation [n, r] · planes. By hand: BLAS may use threads, and sum a row in another
    order when it stands among others."""
    out[:] = 0.0
    for i in range(len(representation)):
        for j in range(len(planes)):
            value = representation[i, j]
            for k in range(planes.shape[1]):
                out[i, k] += value * planes[j, k]


@compiled
def _sign(left, right, signs):  # type: ignore[no-untyped-def]
    """Into signs [arrays · bits]: 1 where left + right is above 0, else 0. A loop of its own, which vectorises."""
    for i in range(len(signs)):
        signs[i] = 1 if left[i] + right[i] > 0.0 else 0


@compiled
def _bucket(signs, array, bits):  # type: ignore[no-untyped-def]
    code = 0
    for i in range(array * bits, (array + 1) * bits):
        code = 2 * code + signs[i]
    return code


@compiled
def _write(sums, means, projections, label, base, weight, bits, gamma):  # type: ignore[no-untyped-def]
    nothing, signs = np.zeros(projections.shape[1]), np.empty(projections.shape[1], dtype=np.int64)
    for i in range(len(projections)):
        if base[i] != base[i]:
            continue  # no prediction and so no error, and one NaN would stay in its buckets for good
        _sign(projections[i], nothing, signs)
        for array in range(sums.shape[0]):
            bucket = _bucket(signs, array, bits)
            count, labels, bases = sums[array, bucket]
            count, labels, bases = count + weight[i], labels + weight[i] * label[i], bases + weight[i] * base[i]
            sums[array, bucket, 0], sums[array, bucket, 1], sums[array, bucket, 2] = count, labels, bases
            means[array, bucket] = (labels - (1.0 - gamma) * bases) / count


@compiled
def _correct(means, lefts, rights, candidates, base, bits, weight, gamma, out):  # type: ignore[no-untyped-def]
    """out [R, K]: base [R, K] corrected, for rows whose projections are lefts [R] plus those rights that candidates
    [R, K] name."""
    signs = np.empty(lefts.shape[1], dtype=np.int64)
    for r in range(candidates.shape[0]):
        for k in range(candidates.shape[1]):
            _sign(lefts[r], rights[candidates[r, k]], signs)
            p, total, found = base[r, k], 0.0, 0
            for array in range(means.shape[0]):
                mean = means[array, _bucket(signs, array, bits)]
                if mean == mean:
                    total += mean
                    found += 1
            if found:
                p = min(max(p + weight * (total / found - gamma * p), 0.0), 1.0)
            out[r, k] = p


class ErrorMemory:
    """The buckets, float64 [arrays, 2^bits, 3]: sums of examples, labels and base predictions.

    seed: of the projections, which are drawn anew from it for each width of a representation and so need no keeping.

    >>> memory = ErrorMemory(MemoryConfig(arrays=1, bits=1, weight=0.5), seed=1)
    >>> rows = np.array([[1.0, 2.0], [2.0, 4.0], [-1.0, -2.0]], dtype=np.float32)  # the first two point the same way
    >>> memory.write(rows[:1], label=np.array([1]), base=np.array([0.1]))
    >>> memory.correct(rows, base=np.array([0.1, 0.2, 0.2])).round(6).tolist()
    [0.55, 0.6, 0.2]
    """

    def __init__(self, config: MemoryConfig, seed: int) -> None:
        self.config = config
        self.sums = np.zeros((config.arrays, 1 << config.bits, 3))
        self._means = np.full((config.arrays, 1 << config.bits), np.nan)  # ȳ - (1 - γ)·p̄ of each bucket, NaN if empty
        self.seed = seed
        self._planes = np.zeros((0, config.arrays * config.bits))

    def copy(self) -> ErrorMemory:
        other = ErrorMemory(self.config, self.seed)
        other.sums[:], other._means[:] = self.sums, self._means
        return other

    def fill(self, sums: np.ndarray) -> None:
        """Hold these sums. Raises ValueError where they are of another shape."""
        self.sums[:] = sums
        count, label, base = np.moveaxis(sums, 2, 0)
        self._means[:] = np.nan
        np.divide(label - (1.0 - self.config.gamma) * base, count, out=self._means, where=count > 0)

    def clear(self) -> None:
        self.sums[:], self._means[:] = 0.0, np.nan

    def _project(self, representation: np.ndarray) -> np.ndarray:
        """float64 [n, arrays · bits]."""
        width = representation.shape[1]
        if len(self._planes) != width:
            shape = (width, self.config.arrays * self.config.bits)
            self._planes = np.random.default_rng((self.seed, width)).standard_normal(shape)
        out = np.empty((len(representation), self._planes.shape[1]))
        _project(representation, self._planes, out)
        return out

    def write(
        self, representation: np.ndarray, label: np.ndarray, base: np.ndarray, weight: np.ndarray | None = None
    ) -> None:
        """Take in examples: representation float32 [n, r], label 0 or 1 [n], the base model's predictions [n].

        weight: float [n], how often each counts; None: once.
        """
        projections = self._project(representation)
        y = label.astype(np.float64)
        counts = np.ones(len(y)) if weight is None else np.ascontiguousarray(weight, dtype=np.float64)
        _write(self.sums, self._means, projections, y, base, counts, self.config.bits, self.config.gamma)

    def correct(self, representation: np.ndarray, base: np.ndarray) -> np.ndarray:
        """The base model's predictions of rows, corrected: float64 [n]."""
        projections = self._project(representation)
        alone = np.zeros((1, projections.shape[1]))
        return self._corrected(projections, alone, np.zeros((len(base), 1), dtype=np.int64), base[:, None])[:, 0]

    def correct_candidates(
        self, requests: np.ndarray, items: np.ndarray, candidates: np.ndarray, base: np.ndarray
    ) -> np.ndarray:
        """The same for the candidates of requests, [R, K]: each request and each item is projected once.

        A representation is a sum with one term a field, so that of request i with item j is that of (i, 0) plus that of
        (0, j) less that of (0, 0). requests: [R, r], of (i, 0). items: [N, r], of (0, j).
        """
        projected = self._project(items)
        return self._corrected(self._project(requests), projected - projected[0], candidates, base)

    def _corrected(self, lefts: np.ndarray, rights: np.ndarray, candidates: np.ndarray, base: np.ndarray) -> np.ndarray:
        out = np.empty(base.shape)
        config = self.config
        _correct(self._means, lefts, rights, candidates, base, config.bits, config.weight, config.gamma, out)
        return out


class RememberingModel:
    """A frozen version of a model, and the memory of its errors as it was when this was published."""

    def __init__(self, base: FrozenModel, memory: ErrorMemory, version: int) -> None:
        self.version = version
        self._base = base
        self._memory = memory

    @property
    def name(self) -> str:
        return self._base.name

    def predict(self, features: Mapping[str, Column]) -> np.ndarray:
        return self._memory.correct(self._base.represent(features), self._base.predict(features))

    def represent(self, features: Mapping[str, Column]) -> np.ndarray:
        return self._base.represent(features)

    def score_candidates(
        self, request_features: Mapping[str, Column], item_features: Mapping[str, Column], candidates: np.ndarray
    ) -> np.ndarray:
        scores = self._base.score_candidates(request_features, item_features, candidates)
        if not candidates.size:
            return scores
        own = [name for name in item_features if name not in request_features]
        first_item = np.zeros(len(candidates), dtype=np.int64)
        requests = {**request_features, **{name: take_column(item_features[name], first_item) for name in own}}
        first_request = np.zeros(len(next(iter(item_features.values()))), dtype=np.int64)
        items = {name: take_column(column, first_request) for name, column in request_features.items()}
        items |= {name: item_features[name] for name in own}
        represent = self._base.represent
        return self._memory.correct_candidates(represent(requests), represent(items), candidates, scores)

    def to_bytes(self) -> bytes:
        meta = {"kind": REMEMBERING, "name": self.name, "version": self.version}
        meta |= {"config": self._memory.config.model_dump(), "seed": self._memory.seed}
        return pack(meta, {"sums": self._memory.sums, "base": np.frombuffer(self._base.to_bytes(), dtype=np.uint8)})

    @classmethod
    def from_state(
        cls, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray], thaw: Callable[[bytes], FrozenModel]
    ) -> Self:
        """thaw: reads the base model. Raises StateError where this is no memory's state."""
        try:
            memory = ErrorMemory(MemoryConfig.model_validate(meta["config"]), meta["seed"])
            memory.fill(arrays["sums"])
            return cls(thaw(arrays["base"].tobytes()), memory, meta["version"])
        except (KeyError, ValueError) as error:
            raise StateError(f"state: holds no error memory ({error})") from None


class RememberingLearner(LearnerWrapper):
    """A learner whose predictions are those of a base, corrected by the memory of the base's errors.

    base: the version of the inner learner that is deployed. Until the first is published there is none, and so nothing
    to remember. It moves on with a publication: after a retraining, or else when `every_hours` of label time have gone
    by. The memory is then emptied ("reset when the model updates"). Between two such moments the inner learner may learn;
    what is published is the base with a copy of the memory, under the next version.

    The inner learner's `last_version` is the base, without the memory.

    Its state is the inner learner's with the memory added to it. The state of a learner without a memory, or with one
    of another shape, is restored too: the memory begins empty with the next publication. So an arm with a memory can
    fork from a control without one, and the other way round.
    """

    def __init__(
        self,
        inner: Learner,
        config: MemoryConfig,
        seed: int,
        every_hours: float | None,
        thaw: Callable[[bytes], FrozenModel],
    ) -> None:
        super().__init__(inner)
        self._memory = ErrorMemory(config, seed)
        self._every_ms = None if every_hours is None else round(every_hours * HOUR_MS)
        self._thaw = thaw
        self._base: FrozenModel | None = None
        self._based_ms = 0  # label time when the base was taken
        self._seen_ms = 0  # newest label time
        self._retrained = False  # since the base was taken

    def predict(self, features: Mapping[str, Column]) -> np.ndarray:
        if self._base is None:
            return self.inner.predict(features)
        return self._memory.correct(self._base.represent(features), self._base.predict(features))

    def learn(self, examples: ExampleBatch, foreign: np.ndarray | None = None, size: int | None = None) -> np.ndarray:
        if self._base is None:
            return self.inner.learn(examples, foreign, size)
        check_examples(examples, foreign)
        pctr = self.predict(examples.exposures.features)
        self.inner.learn(examples, foreign, size)
        return pctr

    @property
    def remembers(self) -> bool:
        return True

    def remember(self, examples: ExampleBatch) -> None:
        check_examples(examples, None)
        self._seen_ms = int(examples.label_time_ms.max(initial=self._seen_ms))
        if self._base is not None:
            features, weight = examples.exposures.features, examples.exposures.weight
            self._memory.write(self._base.represent(features), examples.label, self._base.predict(features), weight)

    def retrained(self) -> None:
        self._retrained = True

    def publish(self) -> FrozenModel:
        if self._base is None or self._retrained or self._is_old():
            self._base = self.inner.publish()
            self._memory.clear()
            self._based_ms, self._retrained = self._seen_ms, False
        else:
            self.version += 1
        return RememberingModel(self._base, self._memory.copy(), self.version)

    def _is_old(self) -> bool:
        return self._every_ms is not None and self._seen_ms - self._based_ms >= self._every_ms

    def to_bytes(self) -> bytes:
        meta, arrays = unpack(self.inner.to_bytes())
        times = {"based_ms": self._based_ms, "seen_ms": self._seen_ms, "retrained": self._retrained}
        if self._base is not None:
            arrays[MEMORY + "sums"] = self._memory.sums
            arrays[MEMORY + "base"] = np.frombuffer(self._base.to_bytes(), dtype=np.uint8)
        return pack({**meta, REMEMBERING: times}, arrays)

    def restore(self, data: bytes) -> None:
        meta, arrays = unpack(data)
        times = meta.pop(REMEMBERING, {"based_ms": 0, "seen_ms": 0, "retrained": False})
        sums, base = arrays.pop(MEMORY + "sums", None), arrays.pop(MEMORY + "base", None)
        self.inner.restore(pack(meta, arrays))
        self._based_ms, self._seen_ms, self._retrained = times["based_ms"], times["seen_ms"], times["retrained"]
        self._base = None
        self._memory.clear()
        if sums is not None and base is not None and sums.shape == self._memory.sums.shape:
            self._base = self._thaw(base.tobytes())
            self._memory.fill(sums)
