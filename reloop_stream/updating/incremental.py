"""Learning each example once, as it comes: alone, or beside examples of the past."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from reloop_stream.codec.records import batch_from_bytes, batch_to_bytes
from reloop_stream.config import IncrementalConfig, ReplayConfig
from reloop_stream.events import ExampleBatch
from reloop_stream.learners.base import Learner
from reloop_stream.state.packing import part_of, prefixed
from reloop_stream.updating.base import NOTHING, ReadAgain, Trained, foreign_rows, slim
from reloop_stream.updating.reservoir import Reservoir

__all__ = ["IncrementalUpdater", "ReplayUpdater"]

OBSERVED = ("event_time_ms", "arm")  # columns that no learner looks at, and an observer of what is trained may
RESERVOIR = "reservoir."  # prefix of its arrays among those of the updater


class IncrementalUpdater:
    """Learns each example once, in batches of exactly `batch_size`; what is left over waits for the next examples.

    columns: of the exposures, those that the loss groups rows by.
    """

    memory_ms = 0

    def __init__(self, config: IncrementalConfig | ReplayConfig, learner: Learner, columns: Sequence[str] = ()) -> None:
        self.learner = learner
        self._kept = (*columns, *OBSERVED)
        self._size = config.batch_size
        self._waiting: tuple[ExampleBatch, np.ndarray] | None = None
        self._learnt_ms: int | None = None  # in this tick, up to which label time

    def attach(self, read_again: ReadAgain | None, should_stop: Callable[[], bool]) -> None:
        """Nothing is read again, and nothing takes long."""

    def learn(self, examples: ExampleBatch, foreign: np.ndarray | None) -> Trained:
        others = foreign_rows(examples, foreign)
        examples = slim(examples, self._kept)
        if self._waiting is not None:
            examples = ExampleBatch.concat([self._waiting[0], examples])
            others = np.concatenate((self._waiting[1], others))
        ready = len(examples) // self._size * self._size
        pctr = np.empty(ready)
        at_once = self._size if self.learner.remembers else self._at_once(ready)
        for at in range(0, ready, at_once):
            rows = slice(at, at + at_once)
            batch = examples.part(rows)
            pctr[rows] = self._step(batch, others[rows])
            self.learner.remember(batch)
        if ready:
            self._learnt_ms = int(examples.label_time_ms[ready - 1])
        rest = slice(ready, len(examples))
        self._waiting = (examples.part(rest), others[rest]) if ready < len(examples) else None
        return Trained(examples.part(slice(0, ready)), pctr) if ready else NOTHING

    def _at_once(self, ready: int) -> int:
        """How many of the rows that are ready `_step` is given, where nothing is remembered in between."""
        return max(1, ready)

    def _step(self, examples: ExampleBatch, foreign: np.ndarray) -> np.ndarray:
        """Learn whole batches; the pCTR of their rows before each."""
        return self.learner.learn(examples, foreign if foreign.any() else None, self._size)

    def end_tick(self, tick: int, watermark_ms: int) -> int | None:
        learnt_ms, self._learnt_ms = self._learnt_ms, None
        return learnt_ms

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        if self._waiting is None:
            return {}, {}
        examples, others = self._waiting
        return {}, {"waiting": np.frombuffer(batch_to_bytes(examples), dtype=np.uint8), "foreign": others}

    def restore(self, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        self._waiting = None
        if "waiting" in arrays:
            waiting = batch_from_bytes(arrays["waiting"].tobytes(), "example")
            self._waiting = slim(waiting, self._kept), arrays["foreign"].astype(bool)

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
        super().__init__(config, learner, columns)
        self._reservoir = Reservoir(config.capacity, seed)
        self._replayed = config.replayed
        self._columns = columns

    def _at_once(self, ready: int) -> int:
        return self._size

    def _step(self, batch: ExampleBatch, foreign: np.ndarray) -> np.ndarray:
        new = slim(batch, self._columns)
        learnt, others = new, foreign
        if (drawn := self._reservoir.draw(self._replayed)) is not None:
            learnt = ExampleBatch.concat([new, drawn.examples])
            others = np.concatenate((foreign, drawn.foreign))
        pctr = self.learner.learn(learnt, others if others.any() else None)[: len(batch)]
        self._reservoir.offer(new, foreign)
        return pctr

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        meta, arrays = super().state()
        reservoir_meta, reservoir_arrays = self._reservoir.state()
        return meta | reservoir_meta, arrays | prefixed(RESERVOIR, reservoir_arrays)

    def restore(self, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        super().restore(meta, arrays)
        self._reservoir.restore(meta, part_of(RESERVOIR, arrays))
