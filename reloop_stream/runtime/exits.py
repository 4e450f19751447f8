"""The exit codes of the command lines."""

from __future__ import annotations

import sys

__all__ = ["FAILED", "INTERRUPTED", "OK", "USERS_MISTAKE", "say"]

OK, FAILED, USERS_MISTAKE, INTERRUPTED = 0, 1, 2, 130


def say(error: BaseException | str, code: int) -> int:
    """Print the error to stderr; the code."""
    print(f"error: {error}", file=sys.stderr)
    return code
