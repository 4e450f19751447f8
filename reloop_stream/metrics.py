"""Progressive (test-then-train) metrics in bounded memory: AUC, log loss, normalised entropy, calibration."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from reloop_stream.errors import EventError

__all__ = ["StreamMetrics", "Sums"]

# Equal steps of the logit from -16 to 16: pCTR from 1e-7 to 1 - 1e-7 in steps of 0.4% of its odds. Two predictions in
# one bin count as tied, which moves the AUC by less than 1e-4 for scores spread over one unit of the logit.
BINS = 8192
LOGIT_BOUND = 16.0
TINY = 1e-12


class Sums(NamedTuple):
    """Of what was added: how many, labels, predictions, cross-entropies in nats."""

    weight: float
    labels: float
    predictions: float
    cross_entropy: float


class StreamMetrics:
    """Sums over predictions and labels, from which the metrics follow. Add, merge, and read at any time.

    auc: area under the ROC curve from a histogram over the logit; ties count half.
    logloss: mean cross-entropy in nats. calibration: sum of predictions over sum of labels; 1 is perfect.
    ne: normalised entropy, log loss over the entropy of the mean label (He et al. 2014, "Practical lessons from
    predicting clicks on ads at Facebook"); 1 is as good as knowing the mean.
    All are NaN where they are not defined. not_numbers: predictions that were NaN or outside [0, 1], a diverged model's say:
    they are counted here, and enter nothing else.

    >>> metrics = StreamMetrics()
    >>> metrics.add(np.array([0.1, 0.2, 0.6]), np.array([0, 0, 1]))
    >>> metrics.n, metrics.auc, round(metrics.calibration, 3)
    (3, 1.0, 0.9)
    """

    __slots__ = ("_histogram", "_sums")

    def __init__(self) -> None:
        self._histogram = np.zeros(2 * BINS, dtype=np.int64)  # negatives, then positives
        self._sums = np.zeros(5)  # n, labels, predictions, cross-entropy, not_numbers

    def add(self, pctr: np.ndarray, label: np.ndarray) -> None:
        """Add predictions [n] in [0, 1] and labels [n], 0 or 1. Raises EventError for other labels, types and lengths."""
        _check(pctr, label)
        usable = (pctr >= 0) & (pctr <= 1)
        if not usable.all():
            self._sums[4] += np.count_nonzero(~usable)
            pctr, label = pctr[usable], label[usable]
        if not len(pctr):
            return
        # In double precision: in single, 1 - TINY is 1, and the entropy of a prediction of 1 infinite.
        pctr, y = pctr.astype(np.float64, copy=False), label.astype(bool)
        bounded = np.clip(pctr, TINY, 1 - TINY)
        logit = np.log(bounded / (1 - bounded))
        bins = ((logit + LOGIT_BOUND) * (BINS / (2 * LOGIT_BOUND))).astype(np.int64)
        np.clip(bins, 0, BINS - 1, out=bins)
        bins[y] += BINS
        self._histogram += np.bincount(bins, minlength=2 * BINS)
        entropy = -np.log(np.where(y, bounded, 1 - bounded)).sum()
        self._sums[:4] += np.array((len(pctr), np.count_nonzero(y), pctr.sum(), entropy))

    def merge(self, other: StreamMetrics) -> None:
        """Add everything that was added to the other."""
        self._histogram += other._histogram
        self._sums += other._sums

    def without(self, other: StreamMetrics) -> StreamMetrics:
        """What was added to this one and not to the other, which was merged into it."""
        rest = StreamMetrics()
        rest._histogram = self._histogram - other._histogram
        rest._sums = self._sums - other._sums
        return rest

    @property
    def sums(self) -> Sums:
        return Sums(*self._sums[:4].tolist())

    @property
    def n(self) -> int:
        return int(self._sums[0])

    @property
    def positives(self) -> int:
        return int(self._sums[1])

    @property
    def not_numbers(self) -> int:
        return int(self._sums[4])

    @property
    def auc(self) -> float:
        negatives, positives = self._histogram[:BINS], self._histogram[BINS:]
        pairs = float(negatives.sum()) * float(positives.sum())
        if not pairs:
            return math.nan
        below = np.cumsum(negatives) - negatives
        return float((positives * (below + 0.5 * negatives)).sum() / pairs)

    @property
    def logloss(self) -> float:
        return float(self._sums[3] / self._sums[0]) if self.n else math.nan

    @property
    def ne(self) -> float:
        if not self.n or self.positives in (0, self.n):
            return math.nan
        rate = self._sums[1] / self._sums[0]
        return float(self.logloss / -(rate * math.log(rate) + (1 - rate) * math.log(1 - rate)))

    @property
    def calibration(self) -> float:
        return float(self._sums[2] / self._sums[1]) if self.positives else math.nan

    def state(self) -> dict[str, np.ndarray]:
        return {"histogram": self._histogram.copy(), "sums": self._sums.copy()}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        self._histogram = state["histogram"].copy()
        self._sums[:] = 0.0  # a state of before `not_numbers` was counted lacks the last
        self._sums[: len(state["sums"])] = state["sums"]


def _check(pctr: np.ndarray, label: np.ndarray) -> None:
    for name, values, kinds in (("pctr", pctr, "f"), ("label", label, "biuf")):
        plain = isinstance(values, np.ndarray) and not isinstance(values, np.ma.MaskedArray)
        if not plain or values.ndim != 1 or values.dtype.kind not in kinds:
            found = f"{values.dtype} {values.shape}" if plain else type(values).__name__
            raise EventError(f"{name}: got {found}, must be an array of numbers, [n]")
    if len(pctr) != len(label):
        raise EventError(f"label: has {len(label)} rows, pctr has {len(pctr)}")
    if not ((label == 0) | (label == 1)).all():
        raise EventError(f"label: got {np.unique(label)[:4]}, must be 0 or 1")
