"""Checkpoints written beside the work: a thread waits for the disk, and what is told of a save is told once it is durable."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from reloop_stream.state.checkpoint import Sections
from reloop_stream.state.files import write_atomic

__all__ = ["CheckpointWriter"]


class CheckpointWriter:
    """Writes one save after the other, each of several checkpoints in their order.

    `settle` and `wait` do in the caller's thread what a save brings about. Both raise the OSError of a file that could not be
    written: the files of the save that come after it are then left as they were.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "checkpoints")
        self._writing: Future[None] | None = None
        self._then: Callable[[], None] = lambda: None

    def write(self, files: Sequence[tuple[Path, Sections]], then: Callable[[], None]) -> None:
        """Begin a save, once the one before is durable. then: what is to be done as soon as this one is.

        The sections may not be added to any more; what they were made of may change.
        """
        self.wait()
        self._then = then
        self._writing = self._thread.submit(_write, [(path, sections.packed()) for path, sections in files])

    def settle(self) -> None:
        """Do what a save brings about, where one has become durable since."""
        if self._writing is not None and self._writing.done():
            self.wait()

    def wait(self) -> None:
        """Wait until the save that has begun is durable, and do what it brings about."""
        if self._writing is not None:
            writing, self._writing = self._writing, None
            writing.result()
            self._then()

    def close(self) -> None:
        """Let a save that has begun be written, and end the thread."""
        self._thread.shutdown()


def _write(files: Sequence[tuple[Path, Sequence[bytes | memoryview]]]) -> None:
    for path, parts in files:
        write_atomic(path, *parts)
