"""Watching a learner: rolling metrics, drift of its log loss, and what an alarm does. River's, behind an updater.

What a monitor says depends on the predictions and labels in their order and on where ticks end, and on nothing else. Its
state is data alone: the newest predictions, and the block means since the last detection, from which river's objects are
built again. river is imported when a monitor is made.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from reloop_stream.config import MonitorConfig
from reloop_stream.losses import bce
from reloop_stream.metrics import area_under_roc

__all__ = ["Monitor", "MonitorReading"]

# Block means that a detector looks back on at most: a quiet stream must not fill memory. Beyond it the older half goes.
LONGEST_MEMORY = 4096

State = tuple[dict[str, Any], dict[str, np.ndarray]]


class MonitorReading(NamedTuple):
    """What a monitor says at the end of a tick. Metrics are those of the newest `rolling` examples, NaN where undefined.

    estimate: mean log loss of the whole blocks since the last detection. alarm: whether the log loss was found to have
    risen within this tick. rate: what multiplies the learning rates from here on.
    """

    tick: int
    watermark_ms: int
    auc: float
    logloss: float
    calibration: float
    estimate: float
    alarm: bool
    rate: float


class Monitor:
    """Rolling metrics of progressive predictions, and a detector of drift on their log loss.

    The log loss comes to the detector as means of consecutive blocks of `block` examples, cut by count. Detectors:
    ADWIN (Bifet and Gavaldà 2007, "Learning from time-changing data with adaptive windowing") and Page-Hinkley (Page
    1954, "Continuous inspection schemes"). After a detection a detector begins anew, as river's do. A detected fall of
    the log loss, as while a model learns its first examples, is no alarm: river's adaptive trees pass it over too.

    Where events carry weights, all of these are weighted; examples are counted, whatever they weigh.

    auc: by river's RollingROCAUC, exact but for tied predictions. It knows no weights; with these it is computed from the
    window. logloss and calibration (sum of predictions over sum
    of labels) are computed from the window itself: a running sum, as in river's `utils.Rolling`, keeps rounding errors
    of examples that have left it, and a restored monitor would not know them.
    Memory: the newest `rolling` examples, less than a block, and at most 4096 block means.

    >>> monitor = Monitor(MonitorConfig(rolling=10, block=2))
    >>> rose = monitor.add(np.array([0.1, 0.2, 0.6]), np.array([0, 0, 1]))
    >>> rose, monitor.auc, round(monitor.logloss, 4), round(monitor.calibration, 3), round(monitor.estimate, 4)
    (False, 1.0, 0.2798, 0.9, 0.1643)
    """

    def __init__(self, config: MonitorConfig) -> None:
        self._config = config
        nothing = np.zeros(0)
        self._begin(nothing, np.zeros(0, dtype=np.uint8), nothing, nothing, nothing, [])

    def _begin(
        self,
        pctr: np.ndarray,
        label: np.ndarray,
        weight: np.ndarray,
        waiting: np.ndarray,
        waiting_weight: np.ndarray,
        means: list[float],
    ) -> None:
        from river import metrics

        self._pctr, self._label, self._weight = pctr, label, weight
        self._auc = metrics.RollingROCAUC(window_size=self._config.rolling)
        self._feed_auc(pctr, label)
        self._waiting, self._waiting_weight = waiting, waiting_weight  # losses of a block that is not whole yet
        self._restart_detector(means)

    def _restart_detector(self, means: list[float]) -> None:
        """Begin the detector anew and show it these block means."""
        from river import drift

        config = self._config
        self._means = means
        if config.detector == "adwin":
            self._detector = drift.ADWIN(delta=config.delta, clock=1)
        else:
            self._detector = drift.PageHinkley(delta=config.delta, threshold=config.threshold, mode="up")
        for mean in means:
            self._show(mean)

    def _show(self, mean: float) -> None:
        # ADWIN's bound supposes values of range 1, which are single losses. A block's sum counts as all of its losses do.
        self._detector.update(mean * self._config.block if self._config.detector == "adwin" else mean)

    def _feed_auc(self, pctr: np.ndarray, label: np.ndarray) -> None:
        for y, p in zip(label.tolist(), pctr.tolist(), strict=True):
            self._auc.update(y, p)

    def add(self, pctr: np.ndarray, label: np.ndarray, weight: np.ndarray | None = None) -> bool:
        """Add predictions [n] and labels [n], 0 or 1, in the order of the stream. Whether the log loss was found to rise.

        weight: float64 [n], how often each counts; None: once.
        """
        weight = np.ones(len(pctr)) if weight is None else weight
        newest = slice(max(0, len(pctr) - self._config.rolling), len(pctr))
        self._feed_auc(pctr[newest], label[newest])
        self._pctr = np.concatenate((self._pctr, pctr[newest]))[-self._config.rolling :]
        self._label = np.concatenate((self._label, label[newest]))[-self._config.rolling :]
        self._weight = np.concatenate((self._weight, weight[newest]))[-self._config.rolling :]
        losses = np.concatenate((self._waiting, bce(pctr, label)))
        weights = np.concatenate((self._waiting_weight, weight))
        whole = len(losses) // self._config.block * self._config.block
        self._waiting, self._waiting_weight = losses[whole:], weights[whole:]
        by_block = weights[:whole].reshape(-1, self._config.block)
        means = (losses[:whole].reshape(by_block.shape) * by_block).sum(axis=1) / by_block.sum(axis=1)
        rises = [self._rises(mean) for mean in means.tolist()]  # all of them: `any` alone would stop at the first
        return any(rises)

    def _rises(self, mean: float) -> bool:
        """Show the detector a block; whether it finds that the log loss has risen."""
        self._show(mean)
        if self._detector.drift_detected:
            # ADWIN keeps what came after the change: is it more than before? Page-Hinkley looks for a rise alone.
            rose = self._config.detector != "adwin" or self._detector.estimation > self.estimate * self._config.block
            self._restart_detector([])
            return bool(rose)
        self._means.append(mean)
        if len(self._means) >= LONGEST_MEMORY:
            self._restart_detector(self._means[-LONGEST_MEMORY // 2 :])
        return False

    @property
    def auc(self) -> float:
        if (self._weight != 1).any():
            scores, of_row = np.unique(self._pctr, return_inverse=True)
            both = (np.bincount(of_row, self._weight * (self._label == y), len(scores)) for y in (0, 1))
            return area_under_roc(*both)
        positives = int(self._label.sum())
        return float(self._auc.get()) if 0 < positives < len(self._label) else math.nan

    @property
    def logloss(self) -> float:
        losses = bce(self._pctr, self._label) * self._weight
        return float(losses.sum() / self._weight.sum()) if len(losses) else math.nan

    @property
    def calibration(self) -> float:
        clicks = (self._weight * self._label).sum()
        return float((self._weight * self._pctr).sum() / clicks) if clicks else math.nan

    @property
    def estimate(self) -> float:
        return float(np.mean(self._means)) if self._means else math.nan

    def state(self) -> State:
        settings = self._config.model_dump(include={"rolling", "detector", "block", "delta", "threshold"})
        arrays = {"pctr": self._pctr, "label": self._label, "waiting": self._waiting, "means": np.array(self._means)}
        arrays |= {"weight": self._weight, "waiting_weight": self._waiting_weight}
        return {"settings": settings}, arrays

    def restore(self, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Put back what `state` gave. The state of a monitor with other settings (a fork's) is passed over."""
        mine, _ = self.state()
        if meta["settings"] == mine["settings"]:
            pctr, waiting = arrays["pctr"], arrays["waiting"]
            # A state of before there were weights has none.
            weight, waiting_weight = (
                arrays.get(name, np.ones(len(of))) for name, of in (("weight", pctr), ("waiting_weight", waiting))
            )
            self._begin(pctr, arrays["label"], weight, waiting, waiting_weight, arrays["means"].tolist())
