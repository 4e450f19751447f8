"""Progressive (test-then-train) metrics in bounded memory: AUC, log loss, normalised entropy, calibration."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from reloop_stream.errors import EventError

__all__ = ["Binned", "StreamMetrics", "Sums", "area_under_roc"]

# Equal steps of the logit from -16 to 16: pCTR from 1e-7 to 1 - 1e-7 in steps of 0.4% of its odds. Two predictions in
# one bin count as tied, which moves the AUC by less than 1e-4 for scores spread over one unit of the logit.
BINS = 8192
LOGIT_BOUND = 16.0
TINY = 1e-12


class Sums(NamedTuple):
    """Of what was added, weighted: how many, labels, predictions, cross-entropies in nats."""

    weight: float
    labels: float
    predictions: float
    cross_entropy: float


class Binned(NamedTuple):
    """By bin of the logit of the predictions, [bins]: how many, labels, and the sum of predictions; weighted."""

    weight: np.ndarray
    labels: np.ndarray
    predictions: np.ndarray


class StreamMetrics:
    """Sums over predictions and labels, from which the metrics follow. Add, merge, and read at any time.

    auc: area under the ROC curve from a histogram over the logit; ties count half.
    logloss: mean cross-entropy in nats. calibration: sum of predictions over sum of labels; 1 is perfect.
    ne: normalised entropy, log loss over the entropy of the mean label (He et al. 2014, "Practical lessons from
    predicting clicks on ads at Facebook"); 1 is as good as knowing the mean.
    With weights all of these are weighted, as by scikit-learn's sample_weight; n and positives count rows.
    All are NaN where they are not defined. not_numbers: predictions that were NaN or outside [0, 1], a diverged model's say:
    they are counted here, and enter nothing else.

    >>> metrics = StreamMetrics()
    >>> metrics.add(np.array([0.1, 0.2, 0.6]), np.array([0, 0, 1]))
    >>> metrics.n, metrics.auc, round(metrics.calibration, 3)
    (3, 1.0, 0.9)
    """

    __slots__ = ("_histogram", "_sums")

    def __init__(self) -> None:
        # Negatives, then positives: whole numbers until the first weight comes.
        self._histogram = np.zeros(2 * BINS, dtype=np.int64)
        # Rows, positives, predictions, cross-entropy, not_numbers, weights, weights of positives; the third and fourth
        # weighted.
        self._sums = np.zeros(7)

    def add(self, pctr: np.ndarray, label: np.ndarray, weight: np.ndarray | None = None) -> None:
        """Add predictions [n] in [0, 1] and labels [n], 0 or 1.

        weight: floats [n] above 0, how often each row counts; None: once. Raises EventError for other labels, weights,
        types and lengths.
        """
        _check(pctr, label, weight)
        if weight is not None:
            weight = np.ascontiguousarray(weight, dtype=np.float64)
            self._histogram = self._histogram.astype(np.float64, copy=False)
        # In double precision: in single, 1 - TINY is 1, and the entropy of a prediction of 1 infinite.
        pctr, label = np.ascontiguousarray(pctr, dtype=np.float64), np.ascontiguousarray(label, dtype=np.uint8)
        from reloop_stream.metric_kernels import add_rows  # brings numba

        add_rows(pctr, label, weight, self._histogram, self._sums, LOGIT_BOUND, TINY)

    def merge(self, other: StreamMetrics) -> None:
        """Add everything that was added to the other."""
        self._histogram = self._histogram + other._histogram
        self._sums += other._sums

    def without(self, other: StreamMetrics) -> StreamMetrics:
        """What was added to this one and not to the other, which was merged into it."""
        rest = StreamMetrics()
        rest._histogram = self._histogram - other._histogram
        rest._sums = self._sums - other._sums
        return rest

    @property
    def sums(self) -> Sums:
        _, _, predictions, cross_entropy, _, weight, labels = self._sums.tolist()
        return Sums(weight, labels, predictions, cross_entropy)

    def binned(self, edges: np.ndarray) -> Binned:
        """By bins of the logit between rising edges [b], b + 1 of them; an edge belongs to the bin above it.

        edges: multiples of 1/256, by which the histogram is cut. Its cells give the predictions, to half of that in the logit; they
        are scaled to add up to their exact sum. Weights and labels are exact.

        >>> metrics = StreamMetrics()
        >>> metrics.add(np.array([0.1, 0.4, 0.6]), np.array([0, 1, 1]))
        >>> [column.round(2).tolist() for column in metrics.binned(np.array([-1.0, 0.0]))]
        [[1, 1, 1], [0, 1, 1], [0.1, 0.4, 0.6]]
        """
        first = np.concatenate(([0], ((np.asarray(edges) + LOGIT_BOUND) * (BINS / (2 * LOGIT_BOUND))).astype(np.int64)))
        positives = self._histogram[BINS:]
        weight = self._histogram[:BINS] + positives
        middle = (np.arange(BINS) + 0.5) * (2 * LOGIT_BOUND / BINS) - LOGIT_BOUND
        about = weight / (1 + np.exp(-middle))
        whole = about.sum()
        exact = about * (self._sums[2] / whole) if whole else about
        return Binned(*(np.add.reduceat(column, first) for column in (weight, positives, exact)))

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
        return area_under_roc(self._histogram[:BINS], self._histogram[BINS:])

    @property
    def logloss(self) -> float:
        return float(self._sums[3] / self._sums[5]) if self.n else math.nan

    @property
    def ne(self) -> float:
        if not self.n or self.positives in (0, self.n):
            return math.nan
        rate = self._sums[6] / self._sums[5]
        return float(self.logloss / -(rate * math.log(rate) + (1 - rate) * math.log(1 - rate)))

    @property
    def calibration(self) -> float:
        return float(self._sums[2] / self._sums[6]) if self.positives else math.nan

    def state(self) -> dict[str, np.ndarray]:
        return {"histogram": self._histogram.copy(), "sums": self._sums.copy()}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        self._histogram = state["histogram"].copy()
        sums = state["sums"]
        # A state of before `not_numbers` was counted lacks it, and one of before there were weights lacks these.
        self._sums[:] = (*sums, *[0.0] * (5 - len(sums)), *sums[:2])[:7]


def area_under_roc(negatives: np.ndarray, positives: np.ndarray) -> float:
    """From how many of both (or their weights) have each score, [scores], in the order of the scores; ties count half.

    NaN without both.
    """
    pairs = float(negatives.sum()) * float(positives.sum())
    if not pairs:
        return math.nan
    below = np.cumsum(negatives) - negatives
    return float((positives * (below + 0.5 * negatives)).sum() / pairs)


def _check(pctr: np.ndarray, label: np.ndarray, weight: np.ndarray | None) -> None:
    columns = [("pctr", pctr, "f"), ("label", label, "biuf")]
    columns += [] if weight is None else [("weight", weight, "f")]
    for name, values, kinds in columns:
        plain = isinstance(values, np.ndarray) and not isinstance(values, np.ma.MaskedArray)
        if not plain or values.ndim != 1 or values.dtype.kind not in kinds:
            found = f"{values.dtype} {values.shape}" if plain else type(values).__name__
            raise EventError(f"{name}: got {found}, must be an array of numbers, [n]")
        if len(values) != len(pctr):
            raise EventError(f"{name}: has {len(values)} rows, pctr has {len(pctr)}")
    if not ((label == 0) | (label == 1)).all():
        raise EventError(f"label: got {np.unique(label)[:4]}, must be 0 or 1")
    if weight is not None and not (weight.min(initial=1) > 0 and weight.max(initial=1) < math.inf):  # NaN fails too
        raise EventError(f"weight: got {weight.min()} to {weight.max()}, must be above 0 and finite")
