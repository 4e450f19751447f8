"""Learning again and again on a sliding window, or once what has come since the last time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from reloop_stream.clock import DAY_MS, HOUR_MS, crosses
from reloop_stream.config import WindowConfig
from reloop_stream.events import ExampleBatch
from reloop_stream.learners.base import Learner
from reloop_stream.stream.event_feed import BEGINNING_MS, FeedStopped
from reloop_stream.updating.base import ReadAgain, Trained, foreign_rows, slim, tested
from reloop_stream.updating.window_rows import Rows, WindowRows, in_batches, later_than, together

__all__ = ["WindowUpdater"]

MIB = 1 << 20
ROWS_AT_ONCE = (
    1 << 14
)  # that a learner is given as whole batches: what they share costs once, and a stop waits for no more


class WindowUpdater:
    """Keeps a sliding window of examples and retrains on it from time to time, as the paper's production loop does.

    A retraining at watermark w sees the labels of (w - days, w]. Between two of them the learner stays as it is. The rows of a
    window that would take more than `held_mib` are not kept, but read from the log again at each retraining, where `attach` says
    how; that gives the same rows in the same order, and so the same weights.

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
        self._rows = WindowRows()
        self._is_outgrown = False  # the rows are in the log alone
        self._read_again: ReadAgain | None = None
        self._should_stop: Callable[[], bool] = lambda: False
        self._watermark_ms: int | None = None
        self._learnt_ms: int | None = None  # rows of an earlier label time are learnt and gone (once)
        self._retrainings = 0

    def attach(self, read_again: ReadAgain | None, should_stop: Callable[[], bool]) -> None:
        # A shuffle takes rows from all over the window.
        self._read_again = None if self._config.shuffle else read_again
        self._should_stop = should_stop

    def learn(self, examples: ExampleBatch, foreign: np.ndarray | None) -> Trained:
        self.refill(examples, foreign)
        return tested(self.learner, examples)

    def refill(self, examples: ExampleBatch, foreign: np.ndarray | None) -> None:
        if self._is_outgrown:
            return
        rows = self._slim(examples, foreign)
        if len(rows[0]):
            self._rows.add(rows)
        if self._read_again is not None and self._rows.nbytes >= self._config.held_mib * MIB:
            self._rows.clear()
            self._is_outgrown = True

    def _slim(self, examples: ExampleBatch, foreign: np.ndarray | None) -> Rows:
        rows = slim(examples, self._columns), foreign_rows(examples, foreign)
        return rows if self._learnt_ms is None else later_than(self._learnt_ms - 1, rows)

    def end_tick(self, tick: int, watermark_ms: int) -> int | None:
        previous_ms, self._watermark_ms = self._watermark_ms, watermark_ms
        if not self._once:
            self._rows.forget(watermark_ms - self.memory_ms)
        if previous_ms is None or not crosses(previous_ms, watermark_ms, self._every_ms):
            return None
        return self.retrain()

    def metrics(self) -> Mapping[str, Any]:
        return {}

    def retrain(self) -> int | None:
        """Train now, as at the end of an interval. For after `end_tick`; when the next interval ends stays as it was. The label time
        of the newest example of all; None: there was none.

        With `once` a second training in the same tick finds nothing to learn. Raises FeedStopped when asked to stop meanwhile:
        the learner is then half trained, and good for nothing but to be restored.
        """
        self._retrainings += 1
        config, newest_ms = self._config, None
        for number in range(config.passes):
            for batches, foreign in self._batches(number):
                if self._should_stop():
                    raise FeedStopped
                if newest_ms is None and config.start == "cold":
                    self.learner.reset()
                newest_ms = max(int(batches.label_time_ms.max()), newest_ms or BEGINNING_MS)
                self.learner.learn(batches, foreign if foreign.any() else None, config.batch_size)
        if newest_ms is None:
            return None
        if self._once:
            self._rows.clear()
            self._is_outgrown = False
            self._learnt_ms = self._watermark_ms
        self.learner.retrained()
        return newest_ms

    def _batches(self, number: int) -> Iterator[Rows]:
        """The micro-batches of a pass, some of them in one."""
        size = max(1, ROWS_AT_ONCE // self._config.batch_size) * self._config.batch_size
        if not self._config.shuffle:
            yield from in_batches(self._window(), size)
            return
        if not (parts := list(self._window())):
            return
        examples, foreign = together(parts)
        order = np.random.default_rng((self._seed, self._retrainings, number)).permutation(len(examples))
        for at in range(0, len(examples), size):
            rows = order[at : at + size]
            yield examples.take(rows), foreign[rows]

    def _window(self) -> Iterator[Rows]:
        if not self._is_outgrown:
            yield from self._rows
            return
        assert self._read_again is not None and self._watermark_ms is not None
        after_ms = BEGINNING_MS if self._once else self._watermark_ms - self.memory_ms
        for examples, foreign in self._read_again():
            yield later_than(after_ms, self._slim(examples, foreign))

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        meta = {"watermark_ms": self._watermark_ms, "retrainings": self._retrainings, "learnt_ms": self._learnt_ms}
        return meta, {}

    def restore(self, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        self._watermark_ms, self._retrainings = meta["watermark_ms"], meta["retrainings"]
        self._learnt_ms = meta["learnt_ms"]
        self._rows, self._is_outgrown = WindowRows(), False
