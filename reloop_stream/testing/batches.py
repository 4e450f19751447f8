"""Batches of events, made up from a seed."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from reloop_stream.clock import HOUR_MS
from reloop_stream.events import ClickBatch, ExampleBatch, ExposureBatch, constant

__all__ = ["MINUTE_MS", "clicks_on", "examples", "exposures", "same_columns"]

MINUTE_MS = 60_000


def exposures(
    n: int = 10, seed: int = 0, first_id: int = 0, at_ms: int = 0, arm: str | np.ndarray = "a", **columns: Any
) -> ExposureBatch:
    """n exposures within an hour from `at_ms` on, in the order of time, two a request; `columns` take the place of made-up
    ones."""
    rng = np.random.default_rng(seed)
    values: dict[str, Any] = {
        "request_id": np.arange(n) // 2 + first_id,
        "exposure_id": np.arange(n) + first_id,
        "event_time_ms": at_ms + np.sort(rng.integers(0, HOUR_MS, n)),
        "user_id": rng.integers(0, 50, n),
        "item_id": rng.integers(0, 50, n),
        "arm": constant(arm, n) if isinstance(arm, str) else arm,
        "position": rng.integers(0, 5, n).astype(np.int32),
        "n_candidates": constant(30, n, np.int32),
        "model_name": constant("m", n),
        "model_version": constant(3, n, np.int64),
        "pctr": rng.uniform(0.01, 0.3, n),
        "propensity": rng.uniform(0.1, 1, n),
        "features": {"user": rng.integers(0, 50, n).astype(np.int32), "item": rng.integers(0, 50, n).astype(np.int32)},
    }
    return ExposureBatch(**(values | columns))


def clicks_on(batch: ExposureBatch, rows: Any, after_ms: int = MINUTE_MS) -> ClickBatch:
    """A click on each of these rows, so long after its exposure."""
    rows = np.asarray(rows)
    times = batch.event_time_ms[rows]
    return ClickBatch(batch.exposure_id[rows], times, times + after_ms)


def examples(n: int = 64, seed: int = 0, **columns: Any) -> ExampleBatch:
    """n labelled exposures, about a fifth of them clicked."""
    shown = exposures(n, seed, **columns)
    label = (np.random.default_rng(seed + 1).random(n) < 0.2).astype(np.uint8)
    return ExampleBatch(shown, label, shown.event_time_ms + HOUR_MS, label)


def same_columns(one: Any, other: Any) -> bool:
    """Whether two batches hold equal columns (NaN equals NaN)."""
    if isinstance(one, np.ndarray):
        if one.dtype.kind == "f":
            return bool(np.array_equal(one, other, equal_nan=True))
        return list(one.tolist()) == list(other.tolist())
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same_columns(one[k], other[k]) for k in one)
    if is_dataclass(one):
        return all(same_columns(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))
    return one is None and other is None
