"""Self-correction for users of river: estimators that take the last prediction with each example."""

from __future__ import annotations

from reloop_stream.learners.river_estimators import ReLoopFMClassifier, ReLoopLogisticRegression
from reloop_stream.learners.river_stamp import Stamp
from reloop_stream.river.mini_batch import MiniBatchClassifier

__all__ = ["MiniBatchClassifier", "ReLoopFMClassifier", "ReLoopLogisticRegression", "Stamp"]
