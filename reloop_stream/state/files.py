"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

__all__ = ["write_atomic"]


def write_atomic(path: Path, *parts: bytes | memoryview) -> None:
    """Write the file so that readers see all of it or none: temporary file, fsync, rename, fsync of the folder.

    parts: what it holds, one after the other.

    Raises OSError naming the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise OSError(
            error.errno, f"{path}: cannot be written: {error.strerror}; make room or check who may write there"
        ) from None
    if hasattr(os, "O_DIRECTORY"):  # Windows opens no folders, and needs no more than the rename
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
