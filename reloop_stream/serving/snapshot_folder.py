"""Snapshots as files in a folder, a file a version, and reading the newest of them."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import Any

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

    folder: need not be there yet; while it is not, or holds no version of the learner, the log says so once.
    learner: whose versions; may be left out where one learner alone publishes there.
    Raises TypeError for what is no path.
    """

    def __init__(self, folder: str | PathLike[str], learner: str | None = None) -> None:
        self._folder = _path("folder", folder)
        self._said = ""
        self._learner = learner
        self._passed_over: set[tuple[Path, int]] = set()  # with the time of writing: it may be written anew

    def newest(self, after: int) -> tuple[Snapshot, FrozenModel] | None:
        found = list(snapshot_versions(self._folder))
        names = {name for name, _, _ in found}
        learner = the_one_learner(self._learner, names, str(self._folder))
        self._say_what_is_missing(names, learner)
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

    def _say_what_is_missing(self, names: set[str], learner: str | None) -> None:
        """Once, and not again at every look."""
        missing = ""
        if not names:
            missing = "holds no version yet" if self._folder.is_dir() else "is not there, or is no folder"
        elif learner not in names:
            missing = f"holds versions of {', '.join(sorted(names))}, and none of {learner}"
        if missing and missing != self._said:
            logger.warning("%s: %s; looking for versions goes on", self._folder, missing)
        self._said = missing

    def close(self) -> None: ...


def _path(name: str, value: Any) -> Path:
    if not isinstance(value, str | PathLike):
        raise TypeError(f"{name}: got a value of type {type(value).__name__}, must be a path, or a text that is one")
    return Path(value)


def load_snapshot(path: str | PathLike[str]) -> Snapshot:
    """The snapshot in a file. Raises SnapshotError naming a damaged or foreign file, FileNotFoundError, and TypeError for
    what is no path."""
    path = _path("path", path)
    try:
        return read_snapshot(path.read_bytes())
    except SnapshotError as error:
        raise SnapshotError(f"{path}: {error}") from None
