"""A benchmark beside an earlier commit: the same measurement there and here, in turns.

The commit is checked out into a temporary worktree, and this checkout's `benchmarks` are copied over its own, so that what is
measured differs and not how. So a function that is measured calls only what the commit has too. Each measurement is a process
of its own with the same environment, its checkout in front of everything on PYTHONPATH.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from reloop_stream.errors import ReloopError

__all__ = ["COMMIT", "Checkouts", "Failed", "NoBaseline", "Pairs", "add_baseline", "checkouts"]

COMMIT = "fd53475"
NONE = "none"
HERE = Path(__file__).resolve().parents[1]
ANSWER = "import sys, benchmarks.baseline as b; b.answer(*sys.argv[1:])"


class NoBaseline(ReloopError):
    """The commit to compare with cannot be had."""


class Failed(ReloopError):
    """A measurement ended with an error of its own, which it has printed."""


class Checkouts:
    """Where to measure: roots[0] is here, roots[1] the baseline where there is one."""

    def __init__(self, *roots: Path) -> None:
        self.roots = roots

    def measure(self, root: Path, function: str, arguments: dict[str, Any]) -> dict[str, float]:
        """What `function` (MODULE:NAME of a benchmark) returns for the arguments in that checkout. Raises Failed."""
        path = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))
        done = subprocess.run(
            [sys.executable, "-c", ANSWER, function, json.dumps(arguments)],
            cwd=root,
            env=os.environ | {"PYTHONPATH": path},
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        if done.returncode:
            raise Failed(f"{function} failed in {root} with exit code {done.returncode}")
        figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return figures

    def warm_up(self, function: str, **arguments: Any) -> None:
        """Measure once without keeping it: a fresh checkout has nothing compiled."""
        for root in self.roots:
            self.measure(root, function, arguments)


class Pairs:
    """The figures of one measurement, pair by pair."""

    def __init__(self, where: Checkouts, function: str, **arguments: Any) -> None:
        self._where, self._function, self._arguments = where, function, arguments
        self._found: list[tuple[dict[str, float], ...]] = []  # a pair each, in the order of the roots

    def measure(self) -> None:
        """One pair more; who is first takes turns."""
        roots = self._where.roots
        turn = -1 if len(self._found) % 2 else 1
        found = [self._where.measure(root, self._function, self._arguments) for root in roots[::turn]]
        self._found.append(tuple(found[::turn]))

    def here(self) -> dict[str, float]:
        """The medians of all figures here."""
        return self._medians(0)

    def baseline(self) -> dict[str, float]:
        """The medians of all figures in the baseline; none where there is no baseline."""
        return self._medians(1) if len(self._where.roots) > 1 else {}

    def over_baseline(self, name: str) -> float:
        """The median of the pairs' ratios, here over the baseline."""
        return self.over(name, [pair[1][name] for pair in self._found])

    def over(self, name: str, others: Sequence[float]) -> float:
        """The median of the ratios of the figure here to others, one measured beside each pair."""
        return statistics.median(pair[0][name] / other for pair, other in zip(self._found, others, strict=True))

    def _medians(self, root: int) -> dict[str, float]:
        names = self._found[0][root]
        return {name: statistics.median(pair[root][name] for pair in self._found) for name in names}


def add_baseline(parser: argparse.ArgumentParser) -> None:
    """Add --baseline."""
    parser.add_argument(
        "--baseline", metavar="COMMIT", default=COMMIT, help=f"beside this commit (default: {COMMIT}), or none"
    )


@contextlib.contextmanager
def checkouts(commit: str = COMMIT, here: Path = HERE) -> Iterator[Checkouts]:
    """Within it the commit lies in a temporary worktree. commit: "none" for no baseline. here: the checkout it is a baseline of.

    Raises NoBaseline.
    """
    if commit == NONE:
        yield Checkouts(here)
        return
    _require(commit, here)
    with tempfile.TemporaryDirectory(prefix="reloop-baseline-") as folder:
        root = Path(folder) / "checkout"
        _git(here, "worktree", "add", "--quiet", "--detach", str(root), commit)
        try:
            shutil.rmtree(root / "benchmarks", ignore_errors=True)
            shutil.copytree(here / "benchmarks", root / "benchmarks", ignore=shutil.ignore_patterns("__pycache__"))
            yield Checkouts(here, root)
        finally:
            _git(here, "worktree", "remove", "--force", str(root))


def _require(commit: str, here: Path) -> None:
    try:
        is_shallow = _git(here, "rev-parse", "--is-shallow-repository") == "true"
    except NoBaseline:
        raise NoBaseline(
            f"--baseline: {here} is no git repository, so {commit} cannot be checked out; clone one, or give none"
        ) from None
    try:
        _git(here, "rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}")
    except NoBaseline:
        fix = (
            "this clone is shallow: `git fetch --unshallow` brings its history" if is_shallow else "`git fetch` first?"
        )
        raise NoBaseline(
            f"--baseline: got {commit}, must be a commit of {here}, or none to measure what lies here alone; {fix}"
        ) from None


def _git(here: Path, *words: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(here), *words], capture_output=True, text=True, encoding="utf-8")
    except FileNotFoundError:
        raise NoBaseline("git: is not installed, and a baseline is checked out with it") from None
    if done.returncode:
        raise NoBaseline(f"git {words[0]}: {done.stderr.strip()}")
    return done.stdout.strip()


def answer(function: str, arguments: str) -> None:
    """In the process of a measurement: call the function, and print what it returns as the last line."""
    module, _, name = function.partition(":")
    root = Path.cwd()
    if not Path(importlib.import_module("simulator").__file__ or "").resolve().is_relative_to(root.resolve()):
        raise SystemExit(f"simulator does not come from {root}")
    print(json.dumps(getattr(importlib.import_module(module), name)(**json.loads(arguments))))
