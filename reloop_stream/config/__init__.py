"""How a learner is described, how settings are overridden, and how mistakes in them are said."""

from __future__ import annotations

from reloop_stream.config.learner import (
    LOSSES,
    MODELS,
    FieldConfig,
    FineTuneConfig,
    IncrementalConfig,
    LearnerConfig,
    LossConfig,
    MemoryConfig,
    ModelConfig,
    MonitorConfig,
    NoUpdateConfig,
    OptimizerConfig,
    ReplayConfig,
    WindowConfig,
)
from reloop_stream.config.mistakes import explain
from reloop_stream.config.overrides import apply_overrides, read_yaml

__all__ = [
    "LOSSES",
    "MODELS",
    "FieldConfig",
    "FineTuneConfig",
    "IncrementalConfig",
    "LearnerConfig",
    "LossConfig",
    "MemoryConfig",
    "ModelConfig",
    "MonitorConfig",
    "NoUpdateConfig",
    "OptimizerConfig",
    "ReplayConfig",
    "WindowConfig",
    "apply_overrides",
    "explain",
    "read_yaml",
]
