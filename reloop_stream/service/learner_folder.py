"""The folder of a learner on a stream: its settings, its checkpoint, its snapshots, and the lock that keeps others out."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Self

from reloop_stream.errors import ReloopError
from reloop_stream.runtime.descriptors import open_file, read_at, try_lock, write_at
from reloop_stream.state.checkpoint import Sections, read_checkpoint, write_checkpoint

__all__ = ["FolderInUse", "LearnerFolder"]


class FolderInUse(ReloopError):
    """Another process learns in this folder."""


class LearnerFolder:
    """DIR/learner.yaml, DIR/checkpoint, DIR/snapshots, and DIR/lock, which is held from enter to exit.

    The kernel lets go of the lock when the process ends, however it ends.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None

    @property
    def settings(self) -> Path:
        return self.path / "learner.yaml"

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoint"

    @property
    def snapshots(self) -> Path:
        return self.path / "snapshots"

    def read(self) -> Sections | None:
        """The checkpoint; None where there is none yet. Raises StateError naming a damaged file."""
        return read_checkpoint(self.checkpoint)

    def write(self, sections: Sections) -> None:
        """Replace the checkpoint. Raises OSError; the one before is then still there."""
        write_checkpoint(self.checkpoint, sections)

    def __enter__(self) -> Self:
        """Take the lock. Raises FolderInUse, OSError."""
        self.path.mkdir(parents=True, exist_ok=True)
        path = self.path / "lock"
        lock = open_file(path, write=True)
        try:
            if not try_lock(lock):
                holder = read_at(lock, 32, 0).decode(errors="replace").strip()
                raise FolderInUse(
                    f"{self.path}: is in use by another learner (process {holder or 'unknown'}); stop that one first, or "
                    "give this one another --checkpoint DIR"
                )
            os.ftruncate(lock, 0)
            write_at(lock, [b"%d\n" % os.getpid()], 0)
        except (FolderInUse, OSError) as error:
            os.close(lock)
            if isinstance(error, OSError):
                raise OSError(error.errno, f"{path}: cannot be locked: {error.strerror}") from None
            raise
        self._lock = lock
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
