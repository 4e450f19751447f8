"""Processes that tests start, and wait for, and kill."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["children_of", "wait_until"]

PATIENCE_S = 180.0  # a start takes seconds where processors are free, and a minute where ten share one


def wait_until(happened: Callable[[], Any], process: subprocess.Popen[str]) -> None:
    """Wait for it; fails where the process ends before, or it takes too long: what is done to it next is done to it alive."""
    deadline = time.monotonic() + PATIENCE_S
    while not happened():
        assert process.poll() is None, f"it ended with {process.returncode} before: {process.communicate()[1]}"
        assert time.monotonic() < deadline, "it takes too long"
        time.sleep(0.005)
    assert process.poll() is None, "it was over before anything could be done to it"


def children_of(process: subprocess.Popen[str]) -> list[int]:
    """The processes that do its work: forked from one that it started for that (Linux)."""
    started = _children_of(process.pid)
    return [
        worker
        for server in started
        if b"forkserver" in Path(f"/proc/{server}/cmdline").read_bytes()
        for worker in _children_of(server)
    ]


def _children_of(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
