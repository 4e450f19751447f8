"""Runs of the small scenario, as a user makes them: within this process, or as one of their own that can be killed."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from simulator.__main__ import main

__all__ = ["Done", "lab", "outcome", "start"]


class Done(NamedTuple):
    """What a command ended with."""

    code: int
    out: str
    err: str


def lab(*words: Any) -> Done:
    """`python -m simulator WORDS`, within this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main([*map(str, words)])
        except SystemExit as end:  # argparse's
            code = end.code if isinstance(end.code, int) else 1
    return Done(code, out.getvalue(), err.getvalue())


def start(*words: Any, **options: Any) -> subprocess.Popen[str]:
    """The same as a process of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "simulator", *map(str, words)],
        env=environment, text=True, **{"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, **options},
    )  # fmt: skip


# Tables beside daily.csv and monitor.csv that are equal in equal runs, byte by byte.
TABLES = (
    "blocks.csv",
    "reliability.csv",
    "truth.csv",
    "bounds.csv",
    "users.parquet",
    "items.parquet",
    "topics.parquet",
)


def outcome(folder: Path) -> tuple[str, str, dict[str, str], dict[str, bytes]]:
    """What two equal runs have in common: daily.csv, the monitors' readings, the digests of the final models, other tables."""
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["status"] == "finished"

    def text(name: str) -> str:
        return (folder / name).read_text() if (folder / name).exists() else ""

    tables = {name: (folder / name).read_bytes() for name in TABLES if (folder / name).exists()}
    return text("daily.csv"), text("monitor.csv"), manifest["digests"], tables
