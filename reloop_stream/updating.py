"""When examples are learnt, if at all.

`incremental`: as they come, in micro-batches. `replay`: likewise, beside examples drawn from all that came before.
`window`: again and again on a sliding window. `fine_tune`: from time to time those that are new. `none`: never.

Two more ways of the literature are made of these and a loss. Distillation from the last version (Hinton et al. 2015,
"Distilling the knowledge in a neural network", and Eq. 5 of the ReLoop paper): any of them with `loss: {name:
distillation, p_last: last_version}`. IncCTR (Wang et al. 2020, "A practical incremental method to train deep CTR models",
arXiv 2009.02147), a warm start and distillation from the model before: `fine_tune` with the same loss.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

import numpy as np

from reloop_stream.clock import DAY_MS, HOUR_MS, crosses
from reloop_stream.codec.records import batch_from_bytes, batch_to_bytes
from reloop_stream.config import (
    FineTuneConfig,
    IncrementalConfig,
    LearnerConfig,
    NoUpdateConfig,
    ReplayConfig,
    WindowConfig,
)
from reloop_stream.events import ExampleBatch, constant
from reloop_stream.learners.base import GROUP_COLUMNS, Learner
from reloop_stream.reservoir import Reservoir

__all__ = [
    "IncrementalUpdater",
    "NoUpdater",
    "ReplayUpdater",
    "Trained",
    "Updater",
    "WindowUpdater",
    "make_updater",
    "publish_every_ms",
]


class Trained(NamedTuple):
    """Examples and their progressive predictions: what the learner said before it learnt them, float64 [n]."""

    examples: ExampleBatch | None
    pctr: np.ndarray


NOTHING = Trained(None, np.zeros(0))


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

    def metrics(self) -> Mapping[str, Any]:
        """What the topic `metrics` is told beside the counts; nothing where it watches nothing."""


def make_updater(config: LearnerConfig, learner: Learner, seed: int = 0) -> Updater:
    """seed: of a window's shuffles and of a reservoir's draws."""
    updater = _make_updater(config, learner, seed)
    if config.monitor is None:
        return updater
    from reloop_stream.monitor import MonitoredUpdater  # which imports this module

    return MonitoredUpdater(config.monitor, updater)


def _make_updater(config: LearnerConfig, learner: Learner, seed: int) -> Updater:
    updating, columns = config.updating, GROUP_COLUMNS[config.loss.level]
    if isinstance(updating, NoUpdateConfig):
        return NoUpdater(learner)
    if isinstance(updating, WindowConfig):
        return WindowUpdater(updating, learner, seed, columns)
    if isinstance(updating, FineTuneConfig):
        same = {"every_hours", "passes", "batch_size", "shuffle"}
        days = 2 * updating.every_hours / 24  # the first interval is longer than the others by up to a tick
        window = WindowConfig(mode="window", days=days, **updating.model_dump(include=same))
        return WindowUpdater(window, learner, seed, columns, once=True)
    if isinstance(updating, ReplayConfig):
        return ReplayUpdater(updating, learner, seed, columns)
    return IncrementalUpdater(updating, learner)


def _foreign(examples: ExampleBatch, foreign: np.ndarray | None) -> np.ndarray:
    return constant(False, len(examples)) if foreign is None else foreign


class NoUpdater:
    """Predicts and never learns: the weights stay those that the learner was made or restored with.

    It goes on from the state of any other way of updating and leaves it behind: neither a window nor examples that
    waited for their batch concern it.
    """

    memory_ms = 0

    def __init__(self, learner: Learner) -> None:
        self.learner = learner

    def learn(self, examples: ExampleBatch, foreign: np.ndarray | None) -> Trained:
        return _tested(self.learner, examples)

    def end_tick(self, tick: int, watermark_ms: int) -> bool:
        return False

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        return {}, {}

    def restore(self, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Nothing is kept."""

    def refill(self, examples: ExampleBatch, foreign: np.ndarray | None) -> None:
        """Nothing is kept."""

    def metrics(self) -> Mapping[str, Any]:
        return {}


def _tested(learner: Learner, examples: ExampleBatch) -> Trained:
    trained = Trained(examples, learner.predict(examples.exposures.features))
    learner.remember(examples)
    return trained


class IncrementalUpdater:
    """Learns each example once, in batches of exactly `batch_size`; what is left over waits for the next examples."""

    memory_ms = 0

    def __init__(self, config: IncrementalConfig | ReplayConfig, learner: Learner) -> None:
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
            batch = examples.part(rows)
            pctr[rows] = self._step(batch, others[rows])
            self.learner.remember(batch)
        rest = slice(ready, len(examples))
        self._waiting = (examples.part(rest), others[rest]) if ready < len(examples) else None
        return Trained(examples.part(slice(0, ready)), pctr) if ready else NOTHING

    def _step(self, batch: ExampleBatch, foreign: np.ndarray) -> np.ndarray:
        """Learn one batch; the pCTR of its rows before."""
        return self.learner.learn(batch, foreign if foreign.any() else None)

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

    def metrics(self) -> Mapping[str, Any]:
        return {}


class ReplayUpdater(IncrementalUpdater):
    """Learns each example once, as it comes, each batch beside examples drawn from a reservoir of all before it.

    Rehearsal against forgetting (Robins 1995, "Catastrophic forgetting, rehearsal and pseudorehearsal"), the buffer kept
    by reservoir sampling as in Chaudhry et al. 2019, "On tiny episodic memories in continual learning". A step learns
    `batch_size` new examples and, behind them in the same batch, `replayed` old ones; then the new ones are offered to
    the reservoir. The pCTR of the new ones alone is handed on: the old ones have been learnt before.
    """

    def __init__(self, config: ReplayConfig, learner: Learner, seed: int, columns: Sequence[str] = ()) -> None:
        super().__init__(config, learner)
        self._reservoir = Reservoir(config.capacity, seed)
        self._replayed = config.replayed
        self._columns = columns

    def _step(self, batch: ExampleBatch, foreign: np.ndarray) -> np.ndarray:
        new = _slim(batch, self._columns)
        learnt, others = new, foreign
        if (drawn := self._reservoir.draw(self._replayed)) is not None:
            learnt = ExampleBatch.concat([new, drawn.examples])
            others = np.concatenate((foreign, drawn.foreign))
        pctr = super()._step(learnt, others)[: len(batch)]
        self._reservoir.offer(new, foreign)
        return pctr

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        meta, arrays = super().state()
        reservoir_meta, reservoir_arrays = self._reservoir.state()
        return meta | reservoir_meta, arrays | {f"reservoir.{name}": a for name, a in reservoir_arrays.items()}

    def restore(self, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        super().restore(meta, arrays)
        prefix = "reservoir."
        kept = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
        self._reservoir.restore(meta, kept)


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
        return _tested(self.learner, examples)

    def refill(self, examples: ExampleBatch, foreign: np.ndarray | None) -> None:
        others = _foreign(examples, foreign)
        if self._learnt_ms is not None and examples.label_time_ms[0] < self._learnt_ms:
            new = examples.label_time_ms >= self._learnt_ms
            examples, others = examples.take(new), others[new]
        if len(examples):
            self._chunks.append((_slim(examples, self._columns), others))

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


# Columns of the exposures that no learner looks at, unless its loss groups rows by them; each with a value that is as
# good as any, and valid.
UNUSED: Mapping[str, Any] = {
    **dict.fromkeys(("request_id", "exposure_id", "event_time_ms", "user_id", "item_id"), 0),
    "position": np.int32(0),
    "n_candidates": np.int32(1),
    "propensity": 1.0,
    "arm": "",
    "model_name": "",
}


def _slim(examples: ExampleBatch, columns: Sequence[str] = ()) -> ExampleBatch:
    """The rows as a window or a reservoir keeps them: without what no learner looks at. columns: keep these."""
    n = len(examples)
    nothing: dict[str, Any] = {name: constant(value, n) for name, value in UNUSED.items() if name not in columns}
    exposures = replace(examples.exposures, **nothing)
    return replace(examples, exposures=exposures, status=constant(0, n, np.uint8))
