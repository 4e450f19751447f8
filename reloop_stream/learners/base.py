"""What a learner and a deployed model are. Free of torch, so that processes that train nothing start quickly."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np

from reloop_stream.errors import DivergedError
from reloop_stream.events import Column, ExampleBatch
from reloop_stream.features.check import check_candidates, rows_of
from reloop_stream.features.encoder import Encoder
from reloop_stream.state.packing import pack

__all__ = ["BaseRate", "FrozenModel", "Learner", "LearnerWrapper", "WithoutMemory", "batch_by_batch", "check_finite"]

# Kinds of deployed models, beside those of the learners proper.
BASE_RATE = "base-rate"
REMEMBERING = "memory"


class FrozenModel(Protocol):
    """A model version as serving deploys it: in eval mode, and immutable. Version 0 predicts the base rate."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> int: ...

    def predict(self, features: Mapping[str, Column]) -> np.ndarray:
        """pCTR, float64 [n]."""

    def represent(self, features: Mapping[str, Column]) -> np.ndarray:
        """What the model makes of each row before it decides: float32 [n, r], for ReLoop2's error memory. torch: the
        fields' embeddings side by side; linear and river: the first-order weights and, for fm, the sum of vectors.

        A sum with one term a field, so that what request and item add can be computed apart."""

    def score_candidates(
        self, request_features: Mapping[str, Column], item_features: Mapping[str, Column], candidates: np.ndarray
    ) -> np.ndarray:
        """pCTR of each request's candidates, float64 [R, K]; request columns are [R], item columns [N], candidates
        int [R, K] are rows of the items."""

    def to_bytes(self) -> bytes:
        """What `reloop_stream.learners.freeze_from_bytes` reads."""


class Learner(Protocol):
    """A model that learns batch by batch. `version` rises by one with each `publish`."""

    name: str
    version: int

    @property
    def encoder(self) -> Encoder:
        """What it knows of the fields."""

    def predict(self, features: Mapping[str, Column]) -> np.ndarray:
        """pCTR in eval mode, float64 [n]. Changes nothing."""

    def learn(self, examples: ExampleBatch, foreign: np.ndarray | None = None, size: int | None = None) -> np.ndarray:
        """Learn a batch: one step (torch), or one example after the other (linear, river).

        foreign: bool [n], rows that another arm's model served: their stamps are not this model's last predictions.
        size: the rows are batches of so many, the last one of what is left, to be learnt one after the other; None: one batch.
        Returns the pCTR of each row before it was learnt, float64 [n]. Raises EventError, and changes nothing, where the
        examples break the contract or are not this model's.
        """

    @property
    def rate(self) -> float:
        """Multiplies the configured learning rates; 1 at first, and part of the state. Settable."""

    @rate.setter
    def rate(self, rate: float) -> None: ...

    @property
    def remembers(self) -> bool:
        """Whether `remember` changes what it predicts: new examples are then learnt and remembered batch by batch."""

    def remember(self, examples: ExampleBatch) -> None:
        """Called once with all new examples, after `predict` or `learn` gave their pCTR: for an error memory."""

    def retrained(self) -> None:
        """Called after a retraining on a window: the model is another, and what its last version got wrong is past."""

    def publish(self) -> FrozenModel:
        """A frozen copy under the next version number. Raises DivergedError, and changes nothing, where a weight is not
        finite."""

    def reset(self) -> None:
        """Back to the first weights and a fresh optimiser (a cold start); the version stays."""

    def to_bytes(self) -> bytes:
        """Weights, optimiser, version, and the last published version. Raises DivergedError where a weight is not finite:
        a checkpoint that could only be gone on from to NaN is none."""

    def restore(self, data: bytes) -> None:
        """Put back what `to_bytes` gave. Raises StateError where it is another learner's, or no state at all."""


def check_finite(name: str, version: int, weights: Mapping[str, np.ndarray]) -> None:
    """Raise DivergedError naming weights that are not finite. A pass over all of them."""
    for part, array in weights.items():
        with np.errstate(all="ignore"):
            total = array.sum()  # needs no array of its own, and no such weight is lost in it
        if not (np.isfinite(total) or np.isfinite(array).all()):
            raise DivergedError(
                f"{name}: its weights are no longer finite: {part}, after version {version}; go on from a checkpoint "
                "of before, with a smaller learning rate or without the numbers that are too large"
            )


def batch_by_batch(
    learn: Callable[[ExampleBatch, np.ndarray | None], np.ndarray],
    examples: ExampleBatch,
    foreign: np.ndarray | None,
    size: int | None,
) -> np.ndarray:
    """What a learner's `learn` gives, from its `learn` of one batch."""
    if size is None or len(examples) <= size:
        return learn(examples, foreign)
    pctr = np.empty(len(examples))
    for at in range(0, len(examples), size):
        rows = slice(at, at + size)
        pctr[rows] = learn(examples.part(rows), None if foreign is None else foreign[rows])
    return pctr


class WithoutMemory:
    """A learner that keeps no errors: what `remember` and `retrained` say goes past it."""

    remembers = False

    def remember(self, examples: ExampleBatch) -> None: ...

    def retrained(self) -> None: ...


class LearnerWrapper:
    """A learner around another, `inner`: passes everything on. A subclass changes what it is for."""

    def __init__(self, inner: Learner) -> None:
        self.inner = inner
        self.name = inner.name

    @property
    def version(self) -> int:
        return self.inner.version

    @version.setter
    def version(self, version: int) -> None:
        self.inner.version = version

    @property
    def encoder(self) -> Encoder:
        return self.inner.encoder

    @property
    def rate(self) -> float:
        return self.inner.rate

    @rate.setter
    def rate(self, rate: float) -> None:
        self.inner.rate = rate

    def predict(self, features: Mapping[str, Column]) -> np.ndarray:
        return self.inner.predict(features)

    def learn(self, examples: ExampleBatch, foreign: np.ndarray | None = None, size: int | None = None) -> np.ndarray:
        return self.inner.learn(examples, foreign, size)

    @property
    def remembers(self) -> bool:
        return self.inner.remembers

    def remember(self, examples: ExampleBatch) -> None:
        self.inner.remember(examples)

    def retrained(self) -> None:
        self.inner.retrained()

    def publish(self) -> FrozenModel:
        return self.inner.publish()

    def reset(self) -> None:
        self.inner.reset()

    def to_bytes(self) -> bytes:
        return self.inner.to_bytes()

    def restore(self, data: bytes) -> None:
        self.inner.restore(data)


class BaseRate:
    """Version 0: the base rate for everything."""

    version = 0

    def __init__(self, rate: float, name: str = BASE_RATE) -> None:
        if not isinstance(rate, int | float | np.number) or not 0 < rate < 1:
            raise ValueError(f"base rate: got {rate}, must be in (0, 1)")
        self.rate = rate
        self.name = name

    def predict(self, features: Mapping[str, Column]) -> np.ndarray:
        return np.full(rows_of(features), self.rate)

    def represent(self, features: Mapping[str, Column]) -> np.ndarray:
        return np.zeros((rows_of(features), 1), dtype=np.float32)

    def score_candidates(
        self, request_features: Mapping[str, Column], item_features: Mapping[str, Column], candidates: np.ndarray
    ) -> np.ndarray:
        requests, items = rows_of(request_features, "request_features"), rows_of(item_features, "item_features")
        return np.full(check_candidates(candidates, requests, items).shape, self.rate)

    def to_bytes(self) -> bytes:
        return pack({"kind": BASE_RATE, "name": self.name, "rate": self.rate}, {})
