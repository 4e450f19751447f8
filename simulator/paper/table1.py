"""Table 1: models and arms over seeds, each arm beside its own backbone, beside what was published."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from reloop_stream.state.files import write_atomic
from simulator.errors import DataError
from simulator.paper.as_published import BARS, TABLE_1, Figures
from simulator.paper.cells import Cell, CellFolder, Job, run
from simulator.paper.data_sets import Corpus, read
from simulator.paper.names import MODELS, PLAIN
from simulator.paper.pairs import paired_seeds
from simulator.paper.protocol import NEEDS_LAST, Source
from simulator.paper.recipes import recipe_of, tried
from simulator.readout.statistics.estimate import Difference
from simulator.readout.statistics.multiplicity import holm
from simulator.studies.progress import CellProgress

__all__ = ["Jobs", "Plan", "Row", "label_of", "markdown", "open_folder", "rows_of", "spread", "table_1"]

# Of their own, so that no seed of the table was chosen for. The more there are, the less a trial's luck counts; where all seeds
# have one split, the first alone.
TUNING_SEEDS = (900_001, 900_002, 900_003)
COLUMNS = ("dataset", "model", "arm", "alpha", "seed", "auc", "logloss", "seconds")
PREFIX = {"bce_scaled": "(1−α)·", "kd": "KD+", "reloop": "RLP+"}


class Plan(NamedTuple):
    """What a table holds. arms: model → its arms. alpha: of the arms that have one; None to tune it, or untuned `ALPHA`.
    tune: trials an arm; 1 is none."""

    data_set: str
    path: str
    source: Source
    arms: Mapping[str, Sequence[str]]
    seeds: int
    alpha: float | None
    tune: int

    @property
    def others(self) -> list[tuple[str, str]]:
        """Models and arms but for cross-entropy, which every model has."""
        return [(model, arm) for model, arms in self.arms.items() for arm in arms if arm != PLAIN]


class Row(NamedTuple):
    """A model's arm over seeds. auc_gain, logloss_gain: over its backbone, None for the backbone; p_auc, p_logloss: these
    differences' p-values, corrected over the table."""

    cells: list[Cell]
    auc_gain: Difference | None = None
    logloss_gain: Difference | None = None
    p_auc: float = math.nan
    p_logloss: float = math.nan

    def of(self, name: str) -> np.ndarray:
        """A figure by seed, [seeds]."""
        return np.array([getattr(cell, name) for cell in self.cells])


def open_folder(plan: Plan, out: Path) -> tuple[CellFolder, Corpus]:
    """The folder for a plan's cells, and the rows. Raises DataError, RunFolderError."""
    corpus = read(plan.data_set, plan.path)
    if plan.source == "serving" and corpus.time_ms is None:
        raise DataError(
            f"--p-last serving: {plan.data_set} does not say when its rows happened, so no version is older than a row; "
            "use in_sample or out_of_fold, or a data set with times (ml_tags, ml_ratings)"
        )
    settings = {
        "dataset": plan.data_set,
        "sha256": dict(corpus.sha256),
        "p_last": plan.source,
        "alpha": plan.alpha,
        "tune": plan.tune,
    }
    return CellFolder(out, settings), corpus


def table_1(plan: Plan, out: Path, workers: int | None = None, *, quiet: bool = False) -> list[Row]:
    """Train what the folder lacks of the plan; the rows. Writes table1.csv and table1.md there.

    Raises DataError, RunFolderError for a folder of another protocol, Interrupted after Ctrl-C.
    """
    folder, corpus = open_folder(plan, out)
    jobs = Jobs(plan, folder, TUNING_SEEDS if corpus.is_split_anew else TUNING_SEEDS[:1])
    stages = (jobs.plain_trials, jobs.previous, jobs.other_trials, jobs.cells)
    run(stages, folder, (plan.data_set, plan.path), plan.source, workers, CellProgress(jobs.total, quiet=quiet))
    rows = rows_of([folder.cell(job) for job in jobs.cells()], corpus.test_share)
    write_atomic(out / "table1.csv", _csv(plan.data_set, rows).encode())
    write_atomic(out / "table1.md", f"{markdown(plan.data_set, rows)}\n".encode())
    return rows


class Jobs:
    """The jobs of a plan, stage by stage: each asks the folder for what those before it found."""

    def __init__(self, plan: Plan, folder: CellFolder, tuning_seeds: Sequence[int]) -> None:
        self._plan = plan
        self._folder = folder
        self._tuning_seeds = tuning_seeds if plan.tune > 1 else ()
        self._seeds = range(1, plan.seeds + 1)
        self._chosen: dict[tuple[str, str], int] = {}  # which trial was best
        self._with_last = [model for model, arms in plan.arms.items() if {*arms} & {*NEEDS_LAST}]

    @property
    def total(self) -> int:
        """How many there are."""
        arms, previous = len(self._plan.arms) + len(self._plan.others), len(self._with_last)
        return (arms * self._plan.tune + previous) * len(self._tuning_seeds) + (arms + previous) * len(self._seeds)

    def plain_trials(self) -> list[Job]:
        """Tuning of cross-entropy, whose best settings its model's previous versions have."""
        return [job for model in self._plan.arms for job in self._trials(model, PLAIN)]

    def previous(self) -> list[Job]:
        """The previous versions, one a model and seed."""
        seeds = (*self._tuning_seeds, *self._seeds)
        return [self._best(model, PLAIN, seed).previous for model in self._with_last for seed in seeds]

    def other_trials(self) -> list[Job]:
        return [job for model, arm in self._plan.others for job in self._trials(model, arm)]

    def cells(self) -> list[Job]:
        """All of the table's, in its order."""
        arms = [*((model, PLAIN) for model in self._plan.arms), *self._plan.others]
        return [self._best(model, arm, seed) for model, arm in arms for seed in self._seeds]

    def _trials(self, model: str, arm: str) -> list[Job]:
        numbers = range(self._plan.tune)
        return [self._trial(model, arm, number, seed) for number in numbers for seed in self._tuning_seeds]

    def _trial(self, model: str, arm: str, number: int, seed: int) -> Job:
        recipe, alpha = tried(recipe_of(self._plan.data_set, model), self._plan.alpha, number)
        last = recipe if arm == PLAIN else self._best(model, PLAIN, seed).recipe
        return Job(model, arm, 0.0 if arm == PLAIN else alpha, seed, recipe, last, number)

    def _best(self, model: str, arm: str, seed: int) -> Job:
        """With the settings whose validation AUC was highest over the tuning seeds; where nothing is tuned, the first ones."""
        if (model, arm) not in self._chosen:
            found: dict[int, float] = {}
            for job in self._trials(model, arm):
                assert job.trial is not None
                found[job.trial] = found.get(job.trial, 0.0) + self._folder.cell(job).valid_auc
            self._chosen[model, arm] = max(found, key=lambda number: found[number], default=0)
        return self._trial(model, arm, self._chosen[model, arm], seed)._replace(trial=None)


def rows_of(cells: Sequence[Cell], test_share: float) -> list[Row]:
    """Cells by model and arm, each beside its backbone; see `paired_seeds` for test_share."""
    by_arm: dict[tuple[str, str, float], list[Cell]] = {}
    for cell in cells:
        by_arm.setdefault((cell.model, cell.arm, cell.alpha), []).append(cell)
    rows = []
    for (model, arm, _), found in by_arm.items():
        row, backbone = Row(found), Row(by_arm[model, PLAIN, 0.0])
        if arm != PLAIN:
            auc, logloss = (paired_seeds(backbone.of(name), row.of(name), test_share) for name in ("auc", "logloss"))
            row = row._replace(auc_gain=auc, logloss_gain=logloss)
        rows.append(row)
    p_auc = holm({i: row.auc_gain.p for i, row in enumerate(rows) if row.auc_gain is not None})
    p_logloss = holm({i: row.logloss_gain.p for i, row in enumerate(rows) if row.logloss_gain is not None})
    return [
        row._replace(p_auc=p_auc.get(i, math.nan), p_logloss=p_logloss.get(i, math.nan)) for i, row in enumerate(rows)
    ]


def _csv(data_set: str, rows: Sequence[Row]) -> str:
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(COLUMNS)
    for cell in (cell for row in rows for cell in row.cells):
        writer.writerow([data_set, *(getattr(cell, name) for name in COLUMNS[1:])])
    return sink.getvalue()


def label_of(cell: Cell) -> str:
    """As the paper names the row: RLP+DCN."""
    return f"{PREFIX.get(cell.arm, '')}{MODELS[cell.model]}"


def markdown(data_set: str, rows: Sequence[Row]) -> str:
    """The table, the published figures beside it where the data set has any."""
    titles = ["", "α", "AUC", "log loss", "AUC − backbone's", "p (Holm)", "log loss − backbone's", "p (Holm)"]
    published = data_set in BARS["lr"]
    titles += ["paper", "BARS"] if published else []
    lines = [titles, ["---"] * len(titles)]
    for row in rows:
        cell = row.cells[0]
        line = [label_of(cell), f"{cell.alpha:g}" if cell.arm != PLAIN else ""]
        line += [spread(row.of(name)) for name in ("auc", "logloss")]
        line += [*_gain(row.auc_gain, row.p_auc), *_gain(row.logloss_gain, row.p_logloss)]
        if published:
            line += [_figures(TABLE_1.get((cell.model, cell.arm), {}).get(data_set))]
            line += [_figures(BARS[cell.model][data_set] if cell.arm == PLAIN else None)]
        lines.append(line)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def spread(values: np.ndarray) -> str:
    """Mean and standard deviation over seeds."""
    return f"{values.mean():.4f} ± {values.std(ddof=1):.4f}" if len(values) > 1 else f"{values[0]:.4f}"


def _gain(gain: Difference | None, corrected: float) -> tuple[str, str]:
    if gain is None:
        return "", ""
    if math.isnan(gain.p):
        return f"{gain.mean:+.4f}".replace("-", "−"), ""
    said = f"{gain.mean:+.4f} [{gain.lo:+.4f}, {gain.hi:+.4f}]".replace("-", "−")
    return said, f"{gain.p:.3f} ({corrected:.3f})"


def _figures(found: Figures | None) -> str:
    return "" if found is None else f"{found[0]:.4f} / {found[1]:.4f}"
