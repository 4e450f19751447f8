"""What can go wrong, as one family: `except ReloopError` catches all that this project raises by intention.

Those that say of a value that it is wrong are ValueErrors too.
"""

from __future__ import annotations

__all__ = [
    "CheckpointError",
    "ConfigError",
    "DivergedError",
    "EventError",
    "LogError",
    "LogUnavailable",
    "OffsetOutOfRange",
    "PluginError",
    "ReloopError",
    "SettingsError",
    "SnapshotError",
    "StateError",
    "UnknownTopic",
]


class ReloopError(Exception):
    """The root. A message names the place, the value and the remedy."""


class ConfigError(ReloopError, ValueError):
    """A mistake in a configuration: one line a mistake, each with its path, value and rule."""


class PluginError(ConfigError):
    """A plugin that cannot be loaded. The message names the file and the reason."""


class SettingsError(ConfigError):
    """A setting that Kafka's clients do not have, or a value that it cannot have. Never shows a secret."""


class EventError(ReloopError, ValueError):
    """An event that breaks the contract. The message names the field, the value and the rule."""


class DivergedError(ReloopError):
    """A learner whose weights are no longer finite: it can only be begun anew, from a checkpoint or with a smaller rate."""


class StateError(ReloopError, ValueError):
    """Bytes that hold no state of this program, or that of something else than was asked for."""


class CheckpointError(StateError):
    """A checkpoint that cannot be gone on from. The message names the file."""


class SnapshotError(StateError):
    """A published version that cannot be read or served. The message names the file or the topic."""


class LogError(ReloopError):
    """The log cannot do what was asked. The message names the place and the fix."""


class LogUnavailable(LogError):
    """The broker has not answered for the stated time (or the folder is gone). Nothing acknowledged was lost."""


class UnknownTopic(LogError):
    """The topic, or that partition of it, does not exist."""


class OffsetOutOfRange(LogError):
    """The offset asked for is no longer retained, or lies beyond the end: reading on would lose events in silence."""
