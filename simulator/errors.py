"""What can go wrong in the laboratory; all of it is a `reloop_stream.errors.ReloopError`."""

from __future__ import annotations

from pathlib import Path

from reloop_stream.errors import ConfigError, DivergedError, ReloopError

__all__ = ["MISTAKES", "DataError", "FetchError", "RunFailed", "RunFolderError", "ScenarioError", "TableError"]


class ScenarioError(ConfigError):
    """A mistake in a scenario: one line a mistake, each with its path, value and rule."""


class DataError(ReloopError, ValueError):
    """A data set that cannot be replayed. The message names the file, the place in it, and the remedy."""


class FetchError(ReloopError):
    """The data set could not be downloaded, or is not what it should be. The message says how to go on by hand."""


class RunFolderError(ReloopError, ValueError):
    """A run folder that cannot be used as asked. The message names the file, what is missing in it, and the remedy."""


class TableError(ReloopError, ValueError):
    """A table of one's own that cannot be read out. The message names the file, the row, what is wrong, and the remedy."""


class RunFailed(ReloopError):
    """A run that did not come to its end. What was done is kept in `path`.

    kind: the name of what was raised, "Stopped" for Ctrl-C. is_mistake: whether a user can put it right.
    """

    def __init__(self, kind: str, message: str, path: Path, *, is_mistake: bool = False) -> None:
        super().__init__(f"{message}\nwhat was done is kept; go on with: python -m simulator resume {path}")
        self.kind = kind
        self.reason = message
        self.path = path
        self.is_mistake = is_mistake


# What a user can put right: exit code 2.
MISTAKES: tuple[type[Exception], ...] = (ConfigError, DataError, DivergedError, RunFolderError, TableError)
