"""What made a run: versions of packages, revision of the code."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from importlib import metadata
from pathlib import Path

import reloop_stream

__all__ = ["git_revision", "provenance", "versions"]

PACKAGES = ("numpy", "torch", "pyarrow", "pandas", "river", "kafka-python", "tea-tasting", "pydantic", "matplotlib")
OURS = "reloop-stream"
CODE = (Path(reloop_stream.__path__[0]).resolve(), Path(__file__).resolve().parents[1])  # the two packages


@cache
def provenance() -> tuple[str | None, dict[str, str]]:
    """Revision and versions of what this process runs: asked once, as it was loaded once."""
    return git_revision(), versions()


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide a result; ours where the installed one is the one that runs."""
    found = {"python": sys.version.split()[0]}
    for name in (OURS, *PACKAGES):
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        if name != OURS or Path(str(distribution.locate_file("simulator"))).resolve() in CODE:
            found[name] = distribution.version
    return found


def git_revision(code: Sequence[Path] = CODE) -> str | None:
    """The revision of the code that ran, with `-dirty` where it had local changes.

    None where no repository keeps that code: one around it, which may hold the environment that it is installed in, is
    another's.
    """
    try:
        # Each package's own __init__.py, of the same repository, or git fails.
        _git(code[0], "ls-files", "--error-unmatch", *(str(package / "__init__.py") for package in code))
        revision = _git(code[0], "describe", "--always", "--dirty", "--abbrev=12")
        new = _git(code[0], "ls-files", "--others", "--exclude-standard", *map(str, code))
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{revision}-dirty" if new and not revision.endswith("-dirty") else revision


def _git(folder: Path, *words: str) -> str:
    """What git says of the repository that the folder lies in, whichever one the environment names (GIT_DIR)."""
    elsewhere = [name for name in os.environ if name.startswith("GIT_") and not name.startswith("GIT_CONFIG")]
    environment = {name: value for name, value in os.environ.items() if name not in elsewhere}
    done = subprocess.run(
        ["git", *words],
        cwd=folder,
        env=environment | {"GIT_OPTIONAL_LOCKS": "0"},  # it is read, and so not locked
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=10,
        check=True,
    )
    return done.stdout.strip()
