"""Snapshots as files in a folder, a file a version, and reading the newest of them."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path

from reloop_stream.errors import SnapshotError
from reloop_stream.learners.base import FrozenModel
from reloop_stream.serving.snapshot import Snapshot, read_snapshot, the_one_learner

__all__ = ["FolderOfSnapshots", "load_snapshot", "snapshot_file", "snapshot_versions"]

logger = logging.getLogger(__name__)

SUFFIX = ".safetensors"


def snapshot_file(folder: Path, learner: str, version: int) -> Path:
    """Where a version lies in a folder. Raises ValueError for a name that is unfit for a file's."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", learner):
        raise ValueError(f"learner: got {learner!r}, its name must be of letters, digits, _ . and -")
    return folder / f"{learner}-{version:08d}{SUFFIX}"


def snapshot_versions(folder: Path) -> Iterator[tuple[str, int, Path]]:
    """Learner, version and path of every snapshot in the folder, newest first."""
    found = []
    for path in folder.glob(f"*{SUFFIX}"):
        learner, dash, version = path.stem.rpartition("-")
        if dash and learner and version.isdigit():
            found.append((learner, int(version), path))
    yield from sorted(found, key=lambda one: one[1], reverse=True)


class FolderOfSnapshots:
    """Reads the versions that a learner publishes to a folder.

    learner: whose versions; may be left out where one learner alone publishes there.
    """

    def __init__(self, folder: Path, learner: str | None = None) -> None:
        self._folder = folder
        self._learner = learner
        self._passed_over: set[tuple[Path, int]] = set()  # with the time of writing: it may be written anew

    def newest(self, after: int) -> tuple[Snapshot, FrozenModel] | None:
        found = list(snapshot_versions(self._folder))
        learner = the_one_learner(self._learner, {name for name, _, _ in found}, str(self._folder))
        for name, version, path in found:
            if name != learner or version <= after:
                continue
            try:
                written = path.stat().st_mtime_ns
                if (path, written) in self._passed_over:
                    continue
                snapshot = load_snapshot(path)
                return snapshot, snapshot.model()
            except FileNotFoundError:  # an old one, removed meanwhile
                continue
            except SnapshotError as error:
                self._passed_over.add((path, written))
                logger.warning("%s: %s; passed over", path, str(error).removeprefix(f"{path}: "))
        return None

    def close(self) -> None: ...


def load_snapshot(path: Path) -> Snapshot:
    """The snapshot in a file. Raises SnapshotError naming a damaged or foreign file, FileNotFoundError."""
    try:
        return read_snapshot(path.read_bytes())
    except SnapshotError as error:
        raise SnapshotError(f"{path}: {error}") from None
