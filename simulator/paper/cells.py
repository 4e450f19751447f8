"""Cells of a table: what is trained for each, and how it is kept in the folder of a study."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from reloop_stream.runtime.stopping import stop_on_signals
from reloop_stream.state.files import write_atomic
from simulator.paper.data_sets import Corpus, prepare, read
from simulator.paper.names import PLAIN
from simulator.paper.protocol import NEEDS_LAST, Prepared, Source, evaluate, last_predictions, loss_of
from simulator.paper.training import Last, Recipe
from simulator.studies.cells import StudyFolder
from simulator.studies.engines import Local
from simulator.studies.progress import CellProgress

__all__ = ["Cell", "CellFolder", "Job", "run"]


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
        self._study = StudyFolder(path, settings, "settings.json")

    def _file(self, job: Job) -> Path:
        return self._study.file(job.key, ".npy" if job.arm is None else ".json")

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


class Trainer:
    """Does jobs: in each process that works, the rows are read once.

    rows: the data set's name and path.
    """

    def __init__(self, rows: tuple[str, str], source: Source, folder: CellFolder) -> None:
        self._rows = rows
        self._source = source
        self._folder = folder
        self._prepared = lru_cache(maxsize=2)(self._prepare)

    def __reduce__(self) -> tuple[type[Trainer], tuple[Any, ...]]:
        return Trainer, (self._rows, self._source, self._folder)  # without what was read

    @cached_property
    def _corpus(self) -> Corpus:
        return read(*self._rows)

    def _prepare(self, seed: int) -> Prepared:
        return prepare(self._corpus, seed)

    def __call__(self, job: Job) -> None:
        if self._folder.has(job):  # another command on the same folder was quicker
            return
        prepared = self._prepared(job.seed if self._corpus.is_split_anew else 0)
        if job.arm is None:
            self._folder.keep(job, last_predictions(prepared, job.last, self._source, job.seed))
            return
        last = self._folder.last(job) if job.arm in NEEDS_LAST else None
        began = time.process_time()
        score = evaluate(prepared, job.recipe, loss_of(job.arm, job.alpha), last, job.seed)
        seconds = time.process_time() - began
        recipe = job.recipe
        knobs = (recipe.l2, recipe.model.dropout, recipe.rate)
        self._folder.keep(job, Cell(job.model, job.arm, job.alpha, job.seed, *knobs, *score, seconds))


def run(
    stages: Sequence[Callable[[], Sequence[Job]]],
    folder: CellFolder,
    rows: tuple[str, str],
    source: Source,
    workers: int | None,
    progress: CellProgress,
) -> None:
    """Train all jobs that the folder lacks, a process a core. Raises Interrupted, and WorkerDied.

    stages: what gives the jobs; a stage is asked once those before it are done, and may read their cells. rows: the data set's
    name and path. workers: None for one a core.
    """
    with (
        stop_on_signals("finishing the cells that are being trained") as stop,
        Local(workers).open(Trainer(rows, source, folder)) as each,
        progress,
    ):
        for stage in stages:
            jobs = stage()
            missing = [job for job in jobs if not folder.has(job)]
            progress.found(len(jobs) - len(missing))
            for job, _ in each(missing, stop):
                auc = "" if job.arm is None else f": AUC {folder.cell(job).auc:.4f}"
                progress.done(f"{job.key}{auc}")
