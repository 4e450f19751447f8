"""When examples are learnt: as they come, in micro-batches (`incremental`), or again and again on a sliding window."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

import numpy as np

from reloop_stream.checkpoint import batch_from_bytes, batch_to_bytes
from reloop_stream.config import FineTuneConfig, IncrementalConfig, LearnerConfig, WindowConfig
from reloop_stream.events import ExampleBatch, constant
from reloop_stream.learners.base import Learner

__all__ = ["IncrementalUpdater", "Trained", "Updater", "WindowUpdater", "crosses", "make_updater", "publish_every_ms"]

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


class Trained(NamedTuple):
    """Examples and their progressive predictions: what the learner said before it learnt them, float64 [n]."""

    examples: ExampleBatch | None
    pctr: np.ndarray


NOTHING = Trained(None, np.zeros(0))


def crosses(previous_ms: int, watermark_ms: int, every_ms: int) -> bool:
    """Whether a multiple of `every_ms` (since 1970) lies in (previous_ms, watermark_ms].

    >>> crosses(5, 10, 10), crosses(10, 19, 10)
    (True, False)
    """
    return watermark_ms // every_ms > previous_ms // every_ms


def publish_every_ms(config: LearnerConfig) -> int:
    """How often a learner publishes: as told; else after each retraining where that alone changes it; else hourly."""
    updating, hours = config.updating, 1.0
    if config.publish_every_hours is not None:
        hours = config.publish_every_hours
    elif isinstance(updating, WindowConfig | FineTuneConfig) and config.memory is None:
        hours = updating.every_hours
    return round(hours * HOUR_MS)


class Updater(Protocol):
    """Feeds a learner. memory_ms: how far back, in label time, it may look at examples again."""

    learner: Learner
    memory_ms: int

    def learn(self, examples: ExampleBatch, foreign: np.ndarray | None) -> Trained:
        """Take the next examples, in order. foreign: bool [n], rows that another arm's model served."""

    def end_tick(self, tick: int, watermark_ms: int) -> bool:
        """Called when all examples up to the watermark have come. Whether the learner was retrained."""

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Everything but the learner and the rows of a window, which are read again from the log."""

    def restore(self, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None: ...

    def refill(self, examples: ExampleBatch, foreign: np.ndarray | None) -> None:
        """Take back rows of the window after a restart, in the order in which they first came."""


def make_updater(config: LearnerConfig, learner: Learner, seed: int = 0) -> Updater:
    """seed: of a window's shuffles."""
    if isinstance(config.updating, WindowConfig):
        return WindowUpdater(config.updating, learner, seed)
    return IncrementalUpdater(config.updating, learner)


def _foreign(examples: ExampleBatch, foreign: np.ndarray | None) -> np.ndarray:
    return constant(False, len(examples)) if foreign is None else foreign


class IncrementalUpdater:
    """Learns each example once, in batches of exactly `batch_size`; what is left over waits for the next examples."""

    memory_ms = 0

    def __init__(self, config: IncrementalConfig, learner: Learner) -> None:
        self.learner = learner
        self._size = config.batch_size
        self._waiting: tuple[ExampleBatch, np.ndarray] | None = None

    def learn(self, examples: ExampleBatch, foreign: np.ndarray | None) -> Trained:
        others = _foreign(examples, foreign)
        if self._waiting is not None:
            examples = ExampleBatch.concat([self._waiting[0], examples])
            others = np.concatenate((self._waiting[1], others))
        ready = len(examples) // self._size * self._size
        pctr = np.empty(ready)
        for at in range(0, ready, self._size):
            rows = slice(at, at + self._size)
            pctr[rows] = self.learner.learn(examples.part(rows), others[rows] if others[rows].any() else None)
        rest = slice(ready, len(examples))
        self._waiting = (examples.part(rest), others[rest]) if ready < len(examples) else None
        return Trained(examples.part(slice(0, ready)), pctr) if ready else NOTHING

    def end_tick(self, tick: int, watermark_ms: int) -> bool:
        return False

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        if self._waiting is None:
            return {}, {}
        examples, others = self._waiting
        return {}, {"waiting": np.frombuffer(batch_to_bytes(examples), dtype=np.uint8), "foreign": others}

    def restore(self, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        self._waiting = None
        if "waiting" in arrays:
            self._waiting = batch_from_bytes(arrays["waiting"].tobytes(), "example"), arrays["foreign"].astype(bool)

    def refill(self, examples: ExampleBatch, foreign: np.ndarray | None) -> None:
        """Nothing is kept."""


class WindowUpdater:
    """Keeps a sliding window of examples and retrains on it from time to time, as the paper's production loop does.

    A retraining at watermark w sees the labels of (w - days, w]. Between two of them the learner stays as it is.
    """

    def __init__(self, config: WindowConfig, learner: Learner, seed: int) -> None:
        self.learner = learner
        self.memory_ms = round(config.days * DAY_MS)
        self._config = config
        self._seed = seed
        self._every_ms = round(config.every_hours * HOUR_MS)
        self._chunks: deque[tuple[ExampleBatch, np.ndarray]] = deque()
        self._watermark_ms: int | None = None
        self._retrainings = 0

    def learn(self, examples: ExampleBatch, foreign: np.ndarray | None) -> Trained:
        self.refill(examples, foreign)
        return Trained(examples, self.learner.predict(examples.exposures.features))

    def refill(self, examples: ExampleBatch, foreign: np.ndarray | None) -> None:
        self._chunks.append((_slim(examples), _foreign(examples, foreign)))

    def end_tick(self, tick: int, watermark_ms: int) -> bool:
        previous_ms, self._watermark_ms = self._watermark_ms, watermark_ms
        self._forget(watermark_ms - self.memory_ms)
        if previous_ms is None or not crosses(previous_ms, watermark_ms, self._every_ms):
            return False
        self._retrain()
        return True

    def _forget(self, before_ms: int) -> None:
        while self._chunks and self._chunks[0][0].label_time_ms[-1] <= before_ms:
            self._chunks.popleft()
        if self._chunks and self._chunks[0][0].label_time_ms[0] <= before_ms:
            examples, foreign = self._chunks[0]
            kept = slice(int(np.searchsorted(examples.label_time_ms, before_ms, side="right")), len(examples))
            self._chunks[0] = examples.part(kept), foreign[kept]

    def _retrain(self) -> None:
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

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        return {"watermark_ms": self._watermark_ms, "retrainings": self._retrainings}, {}

    def restore(self, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        self._watermark_ms, self._retrainings = meta["watermark_ms"], meta["retrainings"]
        self._chunks.clear()


def _slim(examples: ExampleBatch) -> ExampleBatch:
    """The rows as a window keeps them: no column that no learner looks at."""
    n, exposures = len(examples), examples.exposures
    nothing: Any = constant(0, n)
    unused = (
        "request_id",
        "exposure_id",
        "event_time_ms",
        "user_id",
        "item_id",
        "position",
        "n_candidates",
        "propensity",
    )
    return replace(
        examples,
        exposures=replace(exposures, arm=constant("", n), model_name=constant("", n), **dict.fromkeys(unused, nothing)),
        status=constant(0, n, np.uint8),
    )
