"""Whether a data set is still the one that a run began with: size and SHA-256 of each of its files."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from simulator.datasets.rows import find
from simulator.datasets.text_file import require_regular
from simulator.errors import DataError

__all__ = ["Fingerprint", "fingerprints", "require_same"]


class Fingerprint(msgspec.Struct, frozen=True):
    """A file's content."""

    bytes: int
    sha256: str


def fingerprints(path: str, files: Sequence[Path]) -> dict[str, Fingerprint]:
    """Each file that is read, by its name, which is relative to the data's folder: that may have moved.

    Costs one reading of them, about a second a gigabyte. Raises DataError.
    """
    folder = _folder(path)
    try:
        return {str(file.relative_to(folder)): _fingerprint(file) for file in files}
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}; check who may read it") from None


def require_same(path: str, files: Sequence[Path], began: dict[str, Fingerprint]) -> None:
    """Raise DataError naming the first file that is not as it was when a run began, or is new."""
    if not began or (now := fingerprints(path, files)) == began:
        return
    for name in sorted(began.keys() | now.keys()):
        was, found = began.get(name), now.get(name)
        if was != found:
            what = "is new" if was is None else "is gone" if found is None else "has changed"
            sizes = " → ".join("none" if one is None else f"{one.bytes:,} bytes" for one in (was, found))
            raise DataError(
                f"{_folder(path) / name}: {what} since the run began ({sizes}; the run's manifest.json has its sha256); put the "
                "data back as they were, or begin a new run"
            )


def _folder(path: str) -> Path:
    found = find(path)
    return next(place for place in (found, *found.parents) if place.is_dir())


def _fingerprint(file: Path) -> Fingerprint:
    require_regular(file)
    with open(file, "rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
        return Fingerprint(opened.tell(), digest)
