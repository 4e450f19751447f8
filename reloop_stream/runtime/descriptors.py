"""Open files by their descriptors: read and written at a place, and locked, with the calls that this system has."""

from __future__ import annotations

import errno
import logging
import os
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows, where msvcrt has locks, and WebAssembly, where nothing has
    fcntl = None  # type: ignore[assignment]

__all__ = ["open_file", "read_at", "try_lock", "write_at"]

logger = logging.getLogger(__name__)

BINARY = getattr(os, "O_BINARY", 0)  # Windows would translate line ends
LOCKED_AT = 1 << 30  # Windows locks bytes, and nobody else may read them: one behind all that is written

# A read of up to so many bytes at a place; a write of parts there by one system call, which says how many bytes it took.
read_at: Callable[[int, int, int], bytes]
write_at: Callable[[int, Sequence[bytes], int], int]

if hasattr(os, "pread"):
    read_at = os.pread
else:

    def read_at(file: int, n: int, at: int, /) -> bytes:
        os.lseek(file, at, os.SEEK_SET)
        return os.read(file, n)


if hasattr(os, "pwritev"):
    write_at = os.pwritev
else:

    def write_at(file: int, parts: Sequence[bytes], at: int, /) -> int:
        os.lseek(file, at, os.SEEK_SET)
        return os.write(file, b"".join(parts))


def open_file(path: Path, *, write: bool) -> int:
    """The descriptor of a file of bytes, which is made where it is to be written and is not there."""
    return os.open(path, BINARY | (os.O_CREAT | os.O_RDWR if write else os.O_RDONLY), 0o644)


def try_lock(file: int) -> bool:
    """Take the lock of an open file; False where another process has it. The kernel lets go of it when the process ends.

    Raises OSError where the file system has no locks.
    """
    if fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            raise OSError(error.errno, f"{error.strerror}: its file system has no locks; use a local disk") from None
        return True
    if sys.platform == "win32":
        import msvcrt

        os.lseek(file, LOCKED_AT, os.SEEK_SET)
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EDEADLOCK):
                raise
            return False
        return True
    _say_that_nothing_is_locked()
    return True


@cache
def _say_that_nothing_is_locked() -> None:
    logger.warning("this system has no file locks: see to it that no two processes write to the same folder")
