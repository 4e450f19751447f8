"""Self-correction for users of river: estimators that take the last prediction with each example."""

from __future__ import annotations

from reloop_stream.river.estimators import ReLoopFMClassifier, ReLoopLogisticRegression
from reloop_stream.river.mini_batch import MiniBatchClassifier
from reloop_stream.river.stamp import Stamp

__all__ = ["MiniBatchClassifier", "ReLoopFMClassifier", "ReLoopLogisticRegression", "Stamp"]
