"""Progressive metrics of a learner on a stream, since its start and of late, of the learner and of what was served."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from reloop_stream.clock import crosses
from reloop_stream.events import ExampleBatch
from reloop_stream.metrics import StreamMetrics
from reloop_stream.serving.snapshot import Published
from reloop_stream.state.packing import part_of
from reloop_stream.updating.base import Trained

__all__ = ["StreamObserver"]

FIGURES = ("n", "auc", "logloss", "ne", "calibration")


class StreamObserver:
    """Test-then-train metrics. Its state is part of the worker's checkpoint.

    learner: its predictions of examples before it learnt them. served: the stamps of exposures whose window has closed,
    whoever served them. Each since the start, and of late: since the publishing interval before this one began.

    every_ms: length of a publishing interval, in event time.
    extra (an attribute to set): further figures for the topic `metrics`, as lag and rate; no part of the state.
    """

    def __init__(self, every_ms: int) -> None:
        self._every_ms = every_ms
        self._watermark_ms: int | None = None
        self._since_start = {"learner": StreamMetrics(), "served": StreamMetrics()}
        self._interval = {"learner": StreamMetrics(), "served": StreamMetrics()}
        self._interval_before = {"learner": StreamMetrics(), "served": StreamMetrics()}
        self.extra: dict[str, float] = {}

    def observe(self, outcomes: ExampleBatch) -> None:
        self._add("served", outcomes.exposures.pctr, outcomes)

    def trained(self, trained: Trained) -> None:
        assert trained.examples is not None
        self._add("learner", trained.pctr, trained.examples)

    def _add(self, whose: str, pctr: np.ndarray, examples: ExampleBatch) -> None:
        for metrics in (self._since_start[whose], self._interval[whose]):
            metrics.add(pctr, examples.label, examples.exposures.weight)

    def end_tick(self, tick: int, watermark_ms: int) -> None:
        if self._watermark_ms is not None and crosses(self._watermark_ms, watermark_ms, self._every_ms):
            self._interval_before = self._interval
            self._interval = {"learner": StreamMetrics(), "served": StreamMetrics()}
        self._watermark_ms = watermark_ms

    def published(self, version: Published) -> None:
        """Nothing: versions change no figure."""

    @property
    def learnt(self) -> int:
        """Examples learnt since the start (for a window learner: seen)."""
        return self._since_start["learner"].n

    def since_start(self, whose: str) -> StreamMetrics:
        """The metrics of `learner` or `served` since the start."""
        return self._since_start[whose]

    def of_late(self, whose: str) -> StreamMetrics:
        """The metrics of `learner` or `served` since the publishing interval before this one began."""
        merged = StreamMetrics()
        merged.merge(self._interval_before[whose])
        merged.merge(self._interval[whose])
        return merged

    def figures(self) -> dict[str, dict[str, dict[str, float]]]:
        """By learner and served, since_start and of_late."""
        return {
            whose: {"since_start": _figures(total), "of_late": _figures(self.of_late(whose))}
            for whose, total in self._since_start.items()
        }

    def metrics(self) -> dict[str, Any]:
        """The figures under `measured`, and what is extra."""
        return {"measured": self.figures(), **self.extra}

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        arrays = {
            f"{span}/{whose}/{name}": array
            for span, several in self._spans().items()
            for whose, metrics in several.items()
            for name, array in metrics.state().items()
        }
        return {"watermark_ms": self._watermark_ms}, arrays

    def restore(self, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        self._watermark_ms = meta["watermark_ms"]
        for span, several in self._spans().items():
            for whose, metrics in several.items():
                metrics.restore(part_of(f"{span}/{whose}/", arrays))

    def _spans(self) -> dict[str, dict[str, StreamMetrics]]:
        return {"since_start": self._since_start, "interval": self._interval, "before": self._interval_before}


def _figures(metrics: StreamMetrics) -> dict[str, float]:
    return {name: getattr(metrics, name) for name in FIGURES}
