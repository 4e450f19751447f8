"""A way of updating under watch, which acts when the monitor raises an alarm."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np

from reloop_stream.clock import HOUR_MS
from reloop_stream.config import MonitorConfig
from reloop_stream.events import ExampleBatch
from reloop_stream.state.packing import part_of, prefixed
from reloop_stream.updating.base import ReadAgain, Trained, Updater
from reloop_stream.updating.monitor import Monitor, MonitorReading, State

__all__ = ["MonitoredUpdater"]

MONITOR = "monitor."  # prefix of its arrays among those of the updater


@runtime_checkable
class _Retrains(Protocol):
    """An updater that can be told to retrain before its time."""

    def retrain(self) -> int | None: ...


def _ignore(reading: MonitorReading) -> None:
    """Nobody listens."""


class MonitoredUpdater:
    """An updater with a monitor on what it trains on, which acts on alarms at the end of their tick.

    on_reading (an attribute to set): called with each tick's reading. Where a learner publishes less often than it could
    be retrained by an alarm, the retrained model is published when it is due, as any other.
    """

    def __init__(self, config: MonitorConfig, updater: Updater) -> None:
        self.learner = updater.learner
        self.memory_ms = updater.memory_ms
        self.on_reading: Callable[[MonitorReading], None] = _ignore
        self._config = config
        self._updater = updater
        self._monitor = Monitor(config)
        self._alarm = False
        self._alarms = 0
        self._raised_until_ms: int | None = None
        self._reading: MonitorReading | None = None

    def attach(self, read_again: ReadAgain | None, should_stop: Callable[[], bool]) -> None:
        self._updater.attach(read_again, should_stop)

    def learn(self, examples: ExampleBatch, foreign: np.ndarray | None) -> Trained:
        trained = self._updater.learn(examples, foreign)
        if trained.examples is not None:
            examples = trained.examples
            self._alarm |= self._monitor.add(trained.pctr, examples.label, examples.exposures.weight)
        return trained

    def end_tick(self, tick: int, watermark_ms: int) -> int | None:
        learnt_ms = self._updater.end_tick(tick, watermark_ms)
        if self._alarm and self._config.action == "retrain" and learnt_ms is None:
            assert isinstance(self._updater, _Retrains)  # the configuration sees to it
            learnt_ms = self._updater.retrain()
        if self._config.action == "raise_rate":
            self._turn_rate(watermark_ms)
        monitor, rate = self._monitor, self.learner.rate
        self._reading = MonitorReading(
            tick, watermark_ms, monitor.auc, monitor.logloss, monitor.calibration, monitor.estimate, self._alarm, rate
        )
        self._alarms += self._alarm
        self._alarm = False
        self.on_reading(self._reading)
        return learnt_ms

    def _turn_rate(self, watermark_ms: int) -> None:
        """Up after an alarm, back to 1 when its time is over."""
        if self._alarm:
            self._raised_until_ms = watermark_ms + round(self._config.raise_hours * HOUR_MS)
            self.learner.rate = self._config.raise_by
        elif self._raised_until_ms is not None and watermark_ms >= self._raised_until_ms:
            self._raised_until_ms = None
            self.learner.rate = 1.0

    def metrics(self) -> dict[str, Any]:
        """The newest reading and the number of alarms, for announcements; nothing before the first tick has ended."""
        if self._reading is None:
            return {}
        reading = self._reading
        return {
            "rolling_auc": reading.auc,
            "rolling_logloss": reading.logloss,
            "rolling_calibration": reading.calibration,
            "drift_estimate": reading.estimate,
            "alarms": self._alarms,
            "rate": reading.rate,
        }

    def refill(self, examples: ExampleBatch, foreign: np.ndarray | None) -> None:
        self._updater.refill(examples, foreign)

    def state(self) -> State:
        meta, arrays = self._updater.state()
        own, own_arrays = self._monitor.state()
        own |= {"alarms": self._alarms, "raised_until_ms": self._raised_until_ms}
        return {**meta, "monitor": own}, {**arrays, **prefixed(MONITOR, own_arrays)}

    def restore(self, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Put back what `state` gave; after a fork from a learner without a monitor, or with another, watch anew."""
        self._updater.restore(meta, arrays)
        own = meta.get("monitor")
        if own is None:
            return
        self._monitor.restore(own, part_of(MONITOR, arrays))
        self._alarms = own["alarms"]
        if self._config.action == "raise_rate":
            self._raised_until_ms = own["raised_until_ms"]
        self.learner.rate = 1.0 if self._raised_until_ms is None else self._config.raise_by
