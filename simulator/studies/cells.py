"""Cells of a study, kept in its folder: one that is there is not made again, whatever stopped the rest.

A cell is one world: a scenario with a seed, and the rows that came of it. Each is a small file of its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from reloop_stream.config import as_yaml
from reloop_stream.config.yaml_files import parse_yaml
from reloop_stream.errors import ReloopError
from reloop_stream.runtime.stopping import stop_on_signals
from reloop_stream.state.files import write_atomic
from simulator.errors import MISTAKES, RunFailed, RunFolderError
from simulator.readout.results import without_nan
from simulator.studies.engines import Each, Engine
from simulator.studies.progress import CellProgress

__all__ = [
    "Batch",
    "CellsFailed",
    "Failure",
    "MakeAll",
    "Rows",
    "StudyFolder",
    "make",
    "making",
    "safe_key",
    "usual_folder",
]

Rows = list[dict[str, Any]]

LONGEST_KEY = 160  # a file's name may have 255 bytes, and more is written around it
NO_VALUE = "none"


class StudyFolder:
    """The cells that share some settings.

    settings: of numbers, texts, lists and mappings. name: of the file that keeps them. Raises RunFolderError where the folder's
    are others, naming each that differs.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any], name: str = "study.yaml") -> None:
        self.path = path
        file, now = path / name, json.loads(json.dumps(settings))
        if not file.exists():
            write_atomic(file, as_yaml(now).encode())
            return
        before = parse_yaml(file.read_text(encoding="utf-8"), str(file), with_lines=False)
        if differs := list(_differing(before, now)):
            said = ", and of ".join(f"{place} {was}, not {this}" for place, was, this in differs)
            raise RunFolderError(f"{file}: its cells are of {said}; choose another --out")

    def file(self, key: str, suffix: str = ".json") -> Path:
        """Where a cell lies."""
        return self.path / "cells" / f"{key}{suffix}"

    def has(self, key: str) -> bool:
        return self.file(key).exists()

    def rows(self, key: str) -> Rows:
        """A cell's rows. Raises FileNotFoundError where it is not done."""
        return json.loads(self.file(key).read_text(encoding="utf-8"))

    def keep(self, key: str, rows: Rows) -> None:
        """Whole or not at all, so that a kill leaves no half cell. What is not defined is null there."""
        write_atomic(self.file(key), (json.dumps(without_nan(rows), allow_nan=False) + "\n").encode())


def _differing(before: Any, now: Any, place: str = "") -> list[tuple[str, Any, Any]]:
    """(place, value before, value now) of all that differs in two nested settings."""
    if isinstance(before, dict) and isinstance(now, dict):
        names = [*before, *(name for name in now if name not in before)]
        inner = (
            _differing(before.get(name), now.get(name), f"{place}.{name}" if place else str(name)) for name in names
        )
        return [found for one in inner for found in one]
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        parts = (_differing(*pair, f"{place}.{i}") for i, pair in enumerate(zip(before, now, strict=True)))
        return [found for one in parts for found in one]
    if before == now:
        return []
    was, this = (NO_VALUE if value is None else value for value in (before, now))
    return [(place, was, this)]


def usual_folder(name: str, settings: Mapping[str, Any]) -> Path:
    """Where a study lies unless it is said: the same for the same settings, so that the same command goes on."""
    said = json.dumps(settings, sort_keys=True)
    return Path("runs") / f"{settings['study']}-{name}-{hashlib.sha256(said.encode()).hexdigest()[:8]}"


def safe_key(text: str) -> str:
    """A text as the name of a file: other signs become `_`, and where that could make two alike a hash follows.

    >>> safe_key("seed3-arms.1.learner.loss.alpha=0.2")
    'seed3-arms.1.learner.loss.alpha=0.2'
    >>> safe_key("a/b"), safe_key("a:b")
    ('a_b~c14cddc0', 'a_b~6783a31e')
    """
    safe = re.sub(r"[^A-Za-z0-9._=,+-]", "_", text)[:LONGEST_KEY]
    if safe == text:
        return text
    return f"{safe}~{hashlib.sha256(text.encode()).hexdigest()[:8]}"


class Batch(Protocol):
    """Cells that are made together, because they share work. keys: of its cells."""

    @property
    def keys(self) -> Sequence[str]: ...

    def make(self) -> Mapping[str, Rows]:
        """Key → rows, of every cell."""
        ...

    def halves(self) -> Sequence[Batch]:
        """Smaller batches with the same cells between them; asked where there is more than one."""
        ...


class Failure(NamedTuple):
    """A cell that could not be made, and why. is_mistake: whether a user can put it right."""

    key: str
    message: str
    is_mistake: bool


class CellsFailed(ReloopError):
    """Some cells of a study could not be made; the others are kept, and what was made of them."""

    def __init__(self, failures: Sequence[Failure], total: int) -> None:
        by_message: dict[str, list[str]] = {}
        for failure in failures:
            by_message.setdefault(failure.message, []).append(failure.key)
        lines = [
            f"{len(failures)} of {total} cells failed; the others are kept, and the same command tries these again:"
        ]
        for message, keys in by_message.items():
            lines.append(f"  {keys[0]}{f' and {len(keys) - 1} more' if len(keys) > 1 else ''}: {message}")
        super().__init__("\n".join(lines))
        self.failures = list(failures)
        self.is_mistake = len(failures) == total and all(failure.is_mistake for failure in failures)


def make(batch: Batch) -> Mapping[str, Rows] | Failure:
    """A batch's cells, or why there are none: what engines do."""
    try:
        return batch.make()
    except RunFailed as error:
        return Failure(batch.keys[0], error.reason, error.is_mistake)
    except MISTAKES as error:
        return Failure(batch.keys[0], str(error), True)
    except Exception as error:  # whatever it was: the rest goes on
        return Failure(batch.keys[0], f"{type(error).__name__}: {error}\n{traceback.format_exc()}", False)


def _make_all(
    batches: Sequence[Batch],
    folder: StudyFolder,
    each: Each[Batch, Mapping[str, Rows] | Failure],
    progress: CellProgress,
    should_stop: Callable[[], bool],
) -> list[Failure]:
    """Make the batches and keep their cells; those that could not be made. Raises Interrupted, WorkerDied.

    A batch that fails is made again in halves, so that one impossible cell takes none with it.
    """
    failures: list[Failure] = []
    while batches:
        again: list[Batch] = []
        for batch, found in each(batches, should_stop):
            if not isinstance(found, Failure):
                for key, rows in found.items():
                    folder.keep(key, rows)
                    progress.done(key)
            elif len(batch.keys) > 1:
                again += batch.halves()
            else:
                failures.append(found)
                progress.done(f"{found.key}: failed")
        batches = again
    return failures


# Makes the batches, which hold all of so many cells that the folder lacks; gives those that could not be made.
MakeAll = Callable[[Sequence[Batch], int], list[Failure]]


@contextlib.contextmanager
def making(folder: StudyFolder, engine: Engine, total: int, *, quiet: bool) -> Iterator[MakeAll]:
    """What makes batches and keeps their cells, with progress on stderr. total: how many cells there will be in all.

    Within it Ctrl-C is heard: it raises Interrupted once the cells that are being made are kept.
    """
    with (
        stop_on_signals("finishing the cells that are being made") as stop,
        CellProgress(total, quiet=quiet) as progress,
        engine.open(make) as each,
    ):

        def make_all(batches: Sequence[Batch], of: int) -> list[Failure]:
            progress.found(of - sum(len(batch.keys) for batch in batches))
            return _make_all(batches, folder, each, progress, stop)

        yield make_all
