"""Learning again and again on a sliding window, or once what has come since the last time."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from reloop_stream.clock import DAY_MS, HOUR_MS, crosses
from reloop_stream.config import (
    WindowConfig,
)
from reloop_stream.events import ExampleBatch
from reloop_stream.learners.base import Learner
from reloop_stream.updating.base import Trained, foreign_rows, slim, tested

__all__ = ["WindowUpdater"]


class WindowUpdater:
    """Keeps a sliding window of examples and retrains on it from time to time, as the paper's production loop does.

    A retraining at watermark w sees the labels of (w - days, w]. Between two of them the learner stays as it is.

    columns: of the exposures, those that the loss groups rows by.
    once: warm fine-tuning. A retraining sees all that came after the last one, and forgets what it has learnt; `days` is
        then how far back at most that lies.
    """

    def __init__(
        self, config: WindowConfig, learner: Learner, seed: int, columns: Sequence[str] = (), once: bool = False
    ) -> None:
        self.learner = learner
        self.memory_ms = round(config.days * DAY_MS)
        self._config = config
        self._seed = seed
        self._columns = columns
        self._once = once
        self._every_ms = round(config.every_hours * HOUR_MS)
        self._chunks: deque[tuple[ExampleBatch, np.ndarray]] = deque()
        self._watermark_ms: int | None = None
        self._learnt_ms: int | None = None  # rows of an earlier label time are learnt and gone (once)
        self._retrainings = 0

    def learn(self, examples: ExampleBatch, foreign: np.ndarray | None) -> Trained:
        self.refill(examples, foreign)
        return tested(self.learner, examples)

    def refill(self, examples: ExampleBatch, foreign: np.ndarray | None) -> None:
        others = foreign_rows(examples, foreign)
        if self._learnt_ms is not None and examples.label_time_ms[0] < self._learnt_ms:
            new = examples.label_time_ms >= self._learnt_ms
            examples, others = examples.take(new), others[new]
        if len(examples):
            self._chunks.append((slim(examples, self._columns), others))

    def end_tick(self, tick: int, watermark_ms: int) -> bool:
        previous_ms, self._watermark_ms = self._watermark_ms, watermark_ms
        if not self._once:
            self._forget(watermark_ms - self.memory_ms)
        if previous_ms is None or not crosses(previous_ms, watermark_ms, self._every_ms):
            return False
        self.retrain()
        return True

    def _forget(self, before_ms: int) -> None:
        while self._chunks and self._chunks[0][0].label_time_ms[-1] <= before_ms:
            self._chunks.popleft()
        if self._chunks and self._chunks[0][0].label_time_ms[0] <= before_ms:
            examples, foreign = self._chunks[0]
            kept = slice(int(np.searchsorted(examples.label_time_ms, before_ms, side="right")), len(examples))
            self._chunks[0] = examples.part(kept), foreign[kept]

    def metrics(self) -> Mapping[str, Any]:
        return {}

    def retrain(self) -> None:
        """Train now, as at the end of an interval. For after `end_tick`; when the next interval ends stays as it was.

        With `once` a second training in the same tick finds nothing to learn.
        """
        self._retrainings += 1
        if not self._chunks:
            return
        if self._config.start == "cold":
            self.learner.reset()
        examples = ExampleBatch.concat([chunk for chunk, _ in self._chunks])
        foreign = np.concatenate([rows for _, rows in self._chunks])
        size = self._config.batch_size
        for number in range(self._config.passes):
            order = None
            if self._config.shuffle:
                order = np.random.default_rng((self._seed, self._retrainings, number)).permutation(len(examples))
            for at in range(0, len(examples), size):
                rows = slice(at, at + size)
                batch = examples.part(rows) if order is None else examples.take(order[rows])
                others = foreign[rows] if order is None else foreign[order[rows]]
                self.learner.learn(batch, others if others.any() else None)
        if self._once:
            self._chunks.clear()
            self._learnt_ms = self._watermark_ms
        self.learner.retrained()

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        meta = {"watermark_ms": self._watermark_ms, "retrainings": self._retrainings, "learnt_ms": self._learnt_ms}
        return meta, {}

    def restore(self, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        self._watermark_ms, self._retrainings = meta["watermark_ms"], meta["retrainings"]
        self._learnt_ms = meta["learnt_ms"]
        self._chunks.clear()
