"""What a way of updating is, and the one that never learns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np

from reloop_stream.events import ExampleBatch, constant
from reloop_stream.learners.base import Learner

__all__ = ["NoUpdater", "ReadAgain", "Trained", "Updater"]

# Reads the examples of the last `memory_ms` from the log again, in the order in which they first came, with those that another
# arm's model served (None: none). Raises FeedStopped, LogUnavailable, OffsetOutOfRange.
ReadAgain: TypeAlias = Callable[[], Iterator[tuple[ExampleBatch, np.ndarray | None]]]


class Trained(NamedTuple):
    """Examples and their progressive predictions: what the learner said before it learnt them, float64 [n]."""

    examples: ExampleBatch | None
    pctr: np.ndarray


NOTHING = Trained(None, np.zeros(0))


class Updater(Protocol):
    """Feeds a learner. memory_ms: how far back, in label time, it may look at examples again."""

    learner: Learner
    memory_ms: int

    def attach(self, read_again: ReadAgain | None, should_stop: Callable[[], bool]) -> None:
        """Called by whoever moves it. read_again: None where the rows cannot be had again. should_stop: asked in what takes long."""

    def learn(self, examples: ExampleBatch, foreign: np.ndarray | None) -> Trained:
        """Take the next examples, in order. foreign: bool [n], rows that another arm's model served."""

    def end_tick(self, tick: int, watermark_ms: int) -> int | None:
        """Called when all examples up to the watermark have come. The label time of the newest example that the learner has learnt in
        this tick; None: it has learnt nothing.

        Raises FeedStopped when asked to stop in the middle of it: what is then half learnt must be restored.
        """

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Everything but the learner and the rows of a window, which are read again from the log."""

    def restore(self, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None: ...

    def refill(self, examples: ExampleBatch, foreign: np.ndarray | None) -> None:
        """Take back rows of the window after a restart, in the order in which they first came."""

    def metrics(self) -> Mapping[str, Any]:
        """What the topic `metrics` is told beside the counts; nothing where it watches nothing."""


def foreign_rows(examples: ExampleBatch, foreign: np.ndarray | None) -> np.ndarray:
    return constant(False, len(examples)) if foreign is None else foreign


class NoUpdater:
    """Predicts and never learns: the weights stay those that the learner was made or restored with.

    It goes on from the state of any other way of updating and leaves it behind: neither a window nor examples that
    waited for their batch concern it.
    """

    memory_ms = 0

    def __init__(self, learner: Learner) -> None:
        self.learner = learner

    def attach(self, read_again: ReadAgain | None, should_stop: Callable[[], bool]) -> None:
        """Nothing is read again, and nothing takes long."""

    def learn(self, examples: ExampleBatch, foreign: np.ndarray | None) -> Trained:
        return tested(self.learner, examples)

    def end_tick(self, tick: int, watermark_ms: int) -> int | None:
        return None

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        return {}, {}

    def restore(self, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Nothing is kept."""

    def refill(self, examples: ExampleBatch, foreign: np.ndarray | None) -> None:
        """Nothing is kept."""

    def metrics(self) -> Mapping[str, Any]:
        return {}


def tested(learner: Learner, examples: ExampleBatch) -> Trained:
    trained = Trained(examples, learner.predict(examples.exposures.features))
    learner.remember(examples)
    return trained


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


def slim(examples: ExampleBatch, columns: Sequence[str] = ()) -> ExampleBatch:
    """The rows as a window or a reservoir keeps them: without what no learner looks at. columns: keep these."""
    n = len(examples)
    nothing: dict[str, Any] = {name: constant(value, n) for name, value in UNUSED.items() if name not in columns}
    exposures = replace(examples.exposures, **nothing)
    return replace(examples, exposures=exposures, status=constant(0, n, np.uint8))
