"""A scenario whose world runs in half a second, for studies of several."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reloop_stream.config import apply_overrides, as_yaml
from reloop_stream.config.yaml_files import parse_yaml
from tests.conftest import TINY

__all__ = ["DIVERGES_AT_10", "small", "small_file"]

# A learner that diverges within hours at a rate of 10, the highest there is.
DIVERGES_AT_10 = {
    "model": {"name": "deepfm", "embedding": 4},
    "optimizer": {"name": "sgd", "lr": 0.05},
    "updating": {"mode": "incremental", "batch_size": 8},
    "publish_every_hours": 6,
}

LESS = {
    "tick_minutes": 360,
    "checkpoint_every_hours": 12,
    "world.users.n": 60,
    "world.items.live": 40,
    "world.candidates.k": 6,
    "serving.slate": 4,
    "learner.publish_every_hours": 6,
}


def small(**overrides: Any) -> dict[str, Any]:
    """The scenario as a mapping, with other values at some paths; `__` stands for a dot."""
    raw = apply_overrides(parse_yaml(TINY, "TINY"), LESS)
    return apply_overrides(raw, {path.replace("__", "."): value for path, value in overrides.items()})


def small_file(folder: Path, overrides: Mapping[str, Any] | None = None) -> Path:
    """The same in a file."""
    path = folder / "small.yaml"
    path.write_text(as_yaml(apply_overrides(small(), overrides or {})), encoding="utf-8")
    return path
