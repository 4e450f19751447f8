"""Fake negative calibration (fnc): learn from the biased stream by cross-entropy, and serve what the bias leaves out.

Source: Ktena et al., "Addressing delayed feedback for continuous training with neural networks in CTR prediction",
RecSys 2019. With `join.emit: at_once` each exposure is a negative at serving, and a click a positive besides: where the
click rate is q, a share b = q / (1 + q) of the examples is positive. A model of b is served as b / (1 - b) = q.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from reloop_stream.events import Column, ExampleBatch
from reloop_stream.learners.base import FrozenModel, LearnerWrapper
from reloop_stream.state.packing import pack

__all__ = ["CALIBRATED", "CalibratedLearner", "CalibratedModel", "calibrate"]

CALIBRATED = "fnc"
TINY = 1e-12  # keeps the ratio of a saturated prediction finite


def calibrate(biased: np.ndarray) -> np.ndarray:
    """The click rate that a prediction of the biased stream stands for: b / (1 - b), at most 1.

    >>> calibrate(np.array([0.0, 0.2, 0.5, 0.7])).tolist()
    [0.0, 0.25, 1.0, 1.0]
    """
    return np.minimum(biased / np.maximum(1 - biased, TINY), 1.0)


class CalibratedModel:
    """A frozen version whose predictions are calibrated."""

    def __init__(self, biased: FrozenModel) -> None:
        self._biased = biased

    @property
    def name(self) -> str:
        return self._biased.name

    @property
    def version(self) -> int:
        return self._biased.version

    def predict(self, features: Mapping[str, Column]) -> np.ndarray:
        return calibrate(self._biased.predict(features))

    def represent(self, features: Mapping[str, Column]) -> np.ndarray:
        return self._biased.represent(features)

    def score_candidates(
        self, request_features: Mapping[str, Column], item_features: Mapping[str, Column], candidates: np.ndarray
    ) -> np.ndarray:
        return calibrate(self._biased.score_candidates(request_features, item_features, candidates))

    def to_bytes(self) -> bytes:
        biased = np.frombuffer(self._biased.to_bytes(), dtype=np.uint8)
        return pack({"kind": CALIBRATED, "name": self.name, "version": self.version}, {"biased": biased})


class CalibratedLearner(LearnerWrapper):
    """A learner whose predictions are calibrated, and whose training is not. Its state is the inner learner's."""

    def predict(self, features: Mapping[str, Column]) -> np.ndarray:
        return calibrate(self.inner.predict(features))

    def learn(self, examples: ExampleBatch, foreign: np.ndarray | None = None, size: int | None = None) -> np.ndarray:
        return calibrate(self.inner.learn(examples, foreign, size))

    def publish(self) -> FrozenModel:
        return CalibratedModel(self.inner.publish())
