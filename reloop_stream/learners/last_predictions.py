"""What a loss compares with: the last version's prediction of each row, and whose errors are compared together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from reloop_stream.config import LossConfig
from reloop_stream.events import ExampleBatch
from reloop_stream.learners.base import FrozenModel
from reloop_stream.losses import WITHOUT_LAST

__all__ = ["GROUP_COLUMNS", "LastPredictions", "groups_of", "last_predictions"]

# What `groups_of` looks at, of the exposures' columns, by the loss's level.
GROUP_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "item": (),
    "list": ("request_id",),
    "session": ("user_id", "event_time_ms"),
}


def groups_of(loss: LossConfig, examples: ExampleBatch) -> np.ndarray | None:
    """The number of each row's request or session, int [n], where the loss compares errors by these; else None.

    A session is a run of one user's exposures in which no two neighbours lie further apart than `session_minutes`.
    """
    if loss.level == "item":
        return None
    exposures = examples.exposures
    if loss.level == "list":
        return np.unique(exposures.request_id, return_inverse=True)[1]
    user = np.unique(exposures.user_id, return_inverse=True)[1]
    order = np.lexsort((exposures.event_time_ms, user))
    gaps = np.diff(exposures.event_time_ms[order])
    starts = (np.diff(user[order]) != 0) | (gaps > loss.session_minutes * 60_000)
    group = np.empty(len(user), dtype=np.int64)
    group[order] = np.concatenate(([0], np.cumsum(starts)))
    return group


class LastPredictions(NamedTuple):
    """p_last: float64 [n]. known: bool [n], whether the row has one."""

    p_last: np.ndarray
    known: np.ndarray


def last_predictions(
    loss: LossConfig, examples: ExampleBatch, foreign: np.ndarray | None, last: FrozenModel | None
) -> LastPredictions:
    """The last version's predictions that a loss compares with; none for a loss of the package that compares with none.

    `stamp`: of the version that served, unless that was the untrained version 0. `last_version`, and rows that another
    arm served: those of `last`, the version published last before this training.
    """
    exposures = examples.exposures
    n = len(examples)
    if loss.name in WITHOUT_LAST:
        return LastPredictions(np.zeros(n), np.zeros(n, dtype=bool))
    if loss.p_last == "last_version":
        scored = np.ones(n, dtype=bool)
    else:
        scored = np.zeros(n, dtype=bool) if foreign is None else foreign
    p_last = np.array(exposures.pctr, dtype=np.float64)
    known = np.asarray(exposures.model_version > 0) & ~scored
    if last is not None and scored.any():
        rows = exposures if scored.all() else exposures.take(scored)
        p_last[scored] = last.predict(rows.features)
        known |= scored
    return LastPredictions(p_last, known)
