"""ReLoop Stream: CTR models that learn from a stream of stamped exposures and correct themselves.

What a program of one's own needs has a name here, and is loaded when it is first used: importing this package loads
nothing. Estimators for river are in `reloop_stream.river`, helpers for tests in `reloop_stream.testing`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reloop_stream.codec.records import decode, encode
    from reloop_stream.config import FieldConfig, LearnerConfig
    from reloop_stream.errors import ConfigError, DivergedError, EventError, LogError, ReloopError, SnapshotError
    from reloop_stream.events import ClickBatch, ExampleBatch, ExposureBatch, ListColumn
    from reloop_stream.learners import FrozenModel, Learner, make_learner
    from reloop_stream.log import EventLog, Partition, open_log
    from reloop_stream.metrics import StreamMetrics
    from reloop_stream.models import CtrModel
    from reloop_stream.plugins import register_loss, register_model
    from reloop_stream.serving.publisher import SnapshotPublisher
    from reloop_stream.serving.scorer import Scorer
    from reloop_stream.serving.scores import Scores
    from reloop_stream.serving.snapshot import Published, Snapshot
    from reloop_stream.serving.snapshot_folder import FolderOfSnapshots, load_snapshot
    from reloop_stream.serving.snapshot_topic import TopicOfSnapshots

__all__ = [
    "ClickBatch",
    "ConfigError",
    "CtrModel",
    "DivergedError",
    "EventError",
    "EventLog",
    "ExampleBatch",
    "ExposureBatch",
    "FieldConfig",
    "FolderOfSnapshots",
    "FrozenModel",
    "Learner",
    "LearnerConfig",
    "ListColumn",
    "LogError",
    "Partition",
    "Published",
    "ReloopError",
    "Scorer",
    "Scores",
    "Snapshot",
    "SnapshotError",
    "SnapshotPublisher",
    "StreamMetrics",
    "TopicOfSnapshots",
    "decode",
    "encode",
    "load_snapshot",
    "make_learner",
    "open_log",
    "register_loss",
    "register_model",
]

_HOMES = {
    "codec.records": ("decode", "encode"),
    "config": ("FieldConfig", "LearnerConfig"),
    "errors": ("ConfigError", "DivergedError", "EventError", "LogError", "ReloopError", "SnapshotError"),
    "events": ("ClickBatch", "ExampleBatch", "ExposureBatch", "ListColumn"),
    "learners": ("FrozenModel", "Learner", "make_learner"),
    "log": ("EventLog", "Partition", "open_log"),
    "metrics": ("StreamMetrics",),
    "models": ("CtrModel",),
    "plugins": ("register_loss", "register_model"),
    "serving.publisher": ("SnapshotPublisher",),
    "serving.scorer": ("Scorer",),
    "serving.scores": ("Scores",),
    "serving.snapshot": ("Published", "Snapshot"),
    "serving.snapshot_folder": ("FolderOfSnapshots", "load_snapshot"),
    "serving.snapshot_topic": ("TopicOfSnapshots",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
