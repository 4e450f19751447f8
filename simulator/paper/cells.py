"""Cells of a table, trained by processes and kept in a folder: one that is there is not made again, whatever stopped the rest."""

from __future__ import annotations

import io
import json
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from reloop_stream.errors import ReloopError
from reloop_stream.runtime.processes import die_with
from reloop_stream.runtime.stopping import stop_on_signals
from reloop_stream.state.files import write_atomic
from simulator.errors import RunFolderError
from simulator.paper.data_sets import Corpus, prepare, read
from simulator.paper.names import PLAIN
from simulator.paper.progress import CellProgress
from simulator.paper.protocol import NEEDS_LAST, Prepared, Source, evaluate, last_predictions, loss_of
from simulator.paper.training import Last, Recipe

__all__ = ["Cell", "CellFolder", "Interrupted", "Job", "TrainerDied", "run"]

ASKED_EVERY_S = 0.5  # whether to stop


class Interrupted(Exception):
    """Ctrl-C: the cells that are done are kept."""


class TrainerDied(ReloopError):
    """A process that trained was killed. The cells that are done are kept."""


class Cell(NamedTuple):
    """A trained version's figures. seconds: of processor, training and scoring, its previous version's not included."""

    model: str
    arm: str
    alpha: float
    seed: int
    l2: float
    dropout: float
    rate: float
    valid_auc: float
    auc: float
    logloss: float
    seconds: float


class Job(NamedTuple):
    """A version to train. last: the recipe of its previous version; trial: of tuning, None for a cell of the table.

    arm: None trains the previous version alone, and keeps what it says.
    """

    model: str
    arm: str | None
    alpha: float
    seed: int
    recipe: Recipe
    last: Recipe
    trial: int | None = None

    @property
    def key(self) -> str:
        """The name of its file."""
        if self.arm is None:
            return f"{self.model}-previous-seed{self.seed}"
        alpha = "" if self.arm == PLAIN else f"-alpha{self.alpha:g}"
        trial = "" if self.trial is None else f"-trial{self.trial}"
        return f"{self.model}-{self.arm}{alpha}-seed{self.seed}{trial}"

    @property
    def previous(self) -> Job:
        """The job of its previous version."""
        return self._replace(arm=None, alpha=0.0, trial=None)


class CellFolder:
    """The cells of one data set and one protocol.

    settings: what all of them share. Raises RunFolderError where the folder's are others.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path = path
        said, file = json.dumps(settings, indent=2, sort_keys=True) + "\n", path / "settings.json"
        if not file.exists():
            write_atomic(file, said.encode())
            return
        before, now = json.loads(file.read_text(encoding="utf-8")), json.loads(said)
        for name in sorted({*before, *now}):
            if before.get(name) != now.get(name):
                raise RunFolderError(
                    f"{file}: its cells are of {name} {before.get(name)}, not {now.get(name)}; choose another --out"
                )

    def _file(self, job: Job) -> Path:
        return self.path / "cells" / f"{job.key}.{'npy' if job.arm is None else 'json'}"

    def has(self, job: Job) -> bool:
        return self._file(job).exists()

    def cell(self, job: Job) -> Cell:
        """A job's figures. Raises FileNotFoundError where it is not done."""
        return Cell(**json.loads(self._file(job).read_text(encoding="utf-8")))

    def last(self, job: Job) -> Last:
        """What the previous version of a job's said."""
        p, known = np.load(self._file(job.previous))
        return Last(p, known > 0)

    def keep(self, job: Job, found: Cell | Last) -> None:
        """Whole or not at all, so that a kill leaves no half cell."""
        if isinstance(found, Cell):
            write_atomic(self._file(job), (json.dumps(found._asdict()) + "\n").encode())
            return
        sink = io.BytesIO()
        np.save(sink, np.stack((found.p, found.known)))
        write_atomic(self._file(job), sink.getvalue())


class _Worker(NamedTuple):
    corpus: Corpus
    source: Source
    folder: CellFolder


_worker: _Worker  # of a process that trains, from its beginning on


def _begin(parent: int, data_set: str, path: str, source: Source, folder: CellFolder) -> None:
    import torch

    global _worker
    die_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; the parent says what follows
    torch.set_num_threads(1)
    _worker = _Worker(read(data_set, path), source, folder)


@lru_cache(maxsize=2)
def _prepared(seed: int) -> Prepared:
    return prepare(_worker.corpus, seed)


def _train(job: Job) -> None:
    if _worker.folder.has(job):  # another command on the same folder was quicker
        return
    prepared = _prepared(job.seed if _worker.corpus.is_split_anew else 0)
    if job.arm is None:
        _worker.folder.keep(job, last_predictions(prepared, job.last, _worker.source, job.seed))
        return
    last = _worker.folder.last(job) if job.arm in NEEDS_LAST else None
    began = time.process_time()
    score = evaluate(prepared, job.recipe, loss_of(job.arm, job.alpha), last, job.seed)
    seconds = time.process_time() - began
    recipe = job.recipe
    knobs = (recipe.l2, recipe.model.dropout, recipe.rate)
    _worker.folder.keep(job, Cell(job.model, job.arm, job.alpha, job.seed, *knobs, *score, seconds))


def run(
    stages: Sequence[Callable[[], Sequence[Job]]],
    folder: CellFolder,
    rows: tuple[str, str],
    source: Source,
    workers: int | None,
    progress: CellProgress,
) -> None:
    """Train all jobs that the folder lacks, a process a core. Raises Interrupted, and TrainerDied.

    stages: what gives the jobs; a stage is asked once those before it are done, and may read their cells. rows: the data set's
    name and path. workers: None for one a core.
    """
    arguments = (os.getpid(), *rows, source, folder)
    with (
        stop_on_signals("finishing the cells that are being trained") as stop,
        ProcessPoolExecutor(
            workers or os.cpu_count(), mp_context=get_context("spawn"), initializer=_begin, initargs=arguments
        ) as pool,
        progress,
    ):
        try:
            for stage in stages:
                _run_stage(stage(), folder, pool, progress, stop)
        except BrokenProcessPool:
            raise TrainerDied(
                "a process that trained was killed (out of memory?); what was done is kept: the same command goes on, and "
                "fewer --workers need less memory"
            ) from None
        except KeyboardInterrupt:  # the second one: at once
            for process in active_children():
                process.kill()
            raise
        finally:
            pool.shutdown(cancel_futures=True)


def _run_stage(
    jobs: Sequence[Job],
    folder: CellFolder,
    pool: ProcessPoolExecutor,
    progress: CellProgress,
    should_stop: Callable[[], bool],
) -> None:
    missing = [job for job in jobs if not folder.has(job)]
    progress.found(len(jobs) - len(missing))
    waiting: dict[Future[None], Job] = {pool.submit(_train, job): job for job in missing}
    while waiting:
        done, _ = wait(waiting, timeout=ASKED_EVERY_S, return_when=FIRST_COMPLETED)
        for future in done:
            job = waiting.pop(future)
            future.result()
            progress.done(job.key, None if job.arm is None else folder.cell(job).auc)
        if should_stop():
            raise Interrupted
