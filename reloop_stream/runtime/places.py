"""Where this project keeps what it has downloaded."""

from __future__ import annotations

import os
from pathlib import Path

from reloop_stream.errors import ReloopError

__all__ = ["NoHome", "user_cache"]


class NoHome(ReloopError):
    """A user without a home folder, as in a container."""


def user_cache() -> Path:
    """$XDG_CACHE_HOME/reloop-stream, or ~/.cache/reloop-stream. Raises NoHome."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "reloop-stream"
    except RuntimeError:
        raise NoHome("this user has no home folder for downloads; set XDG_CACHE_HOME to a folder for them") from None
