"""How a learner is described, how settings are overridden, and how mistakes in them are said."""

from __future__ import annotations

from reloop_stream.config.learner import (
    LOSSES,
    MODELS,
    MOST_HOURS,
    MOST_SEED,
    NAME,
    FieldConfig,
    FineTuneConfig,
    IncrementalConfig,
    LearnerConfig,
    LossConfig,
    MemoryConfig,
    ModelConfig,
    ModelFields,
    MonitorConfig,
    NoUpdateConfig,
    OptimizerConfig,
    ReplayConfig,
    WindowConfig,
)
from reloop_stream.config.mistakes import in_file, validated
from reloop_stream.config.overrides import apply_overrides
from reloop_stream.config.yaml_files import as_yaml, read_mapping, read_yaml

__all__ = [
    "LOSSES",
    "MODELS",
    "MOST_HOURS",
    "MOST_SEED",
    "NAME",
    "FieldConfig",
    "FineTuneConfig",
    "IncrementalConfig",
    "LearnerConfig",
    "LossConfig",
    "MemoryConfig",
    "ModelConfig",
    "ModelFields",
    "MonitorConfig",
    "NoUpdateConfig",
    "OptimizerConfig",
    "ReplayConfig",
    "WindowConfig",
    "apply_overrides",
    "as_yaml",
    "in_file",
    "read_mapping",
    "read_yaml",
    "validated",
]
