"""Figure 3: AUC against α, for ReLoop, for distillation, and for the control that the paper lacks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from simulator.paper.cells import run
from simulator.paper.names import ARMS, MODELS, PLAIN
from simulator.paper.table1 import Jobs, Plan, Row, open_folder, rows_of
from simulator.readout.plots.style import COLOURS, HEIGHT, STYLE, WIDTH
from simulator.studies.progress import CellProgress

__all__ = ["draw", "over_alphas"]


def over_alphas(
    plan: Plan, alphas: Sequence[float], out: Path, workers: int | None = None, *, quiet: bool = False
) -> list[Row]:
    """The rows of a plan at each α, untuned, cross-entropy first.

    Raises DataError, RunFolderError for a folder of another protocol, Interrupted after Ctrl-C.
    """
    folder, corpus = open_folder(plan, out)
    jobs = Jobs(plan, folder, tuning_seeds=())
    cells = [job._replace(alpha=alpha) for job in jobs.cells() if job.arm != PLAIN for alpha in alphas]
    cells = [job for job in jobs.cells() if job.arm == PLAIN] + cells
    progress = CellProgress(len(jobs.previous()) + len(cells), quiet=quiet)
    run((jobs.previous, lambda: cells), folder, (plan.data_set, plan.path), plan.source, workers, progress)
    return rows_of([folder.cell(job) for job in cells], corpus.test_share)


def draw(rows: Sequence[Row], data_set: str) -> Figure:
    """For each model the gain in AUC over cross-entropy of the same seed against α, with 95% intervals over seeds."""
    models = list(dict.fromkeys(row.cells[0].model for row in rows))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
        FigureCanvasAgg(figure)
        grid = figure.subplots(1, len(models), sharey=True, squeeze=False)[0]
        for axes, model in zip(grid, models, strict=True):
            mine = [row for row in rows if row.cells[0].model == model]
            plain = next(row for row in mine if row.cells[0].arm == PLAIN)
            axes.axhline(0, color="#444444", linewidth=0.8)
            axes.set_title(f"{MODELS[model]} on {data_set}: cross-entropy {plain.of('auc').mean():.4f}")
            arms = list(dict.fromkeys(row.cells[0].arm for row in mine if row is not plain))
            for arm, colour in zip(arms, COLOURS, strict=False):
                found = sorted((row for row in mine if row.cells[0].arm == arm), key=lambda row: row.cells[0].alpha)
                at = [row.cells[0].alpha for row in found]
                gains = [row.auc_gain for row in found if row.auc_gain is not None]
                axes.plot(at, [gain.mean for gain in gains], color=colour, marker="o", markersize=4, label=ARMS[arm])
                if not any(math.isnan(gain.lo) for gain in gains):
                    axes.fill_between(at, [g.lo for g in gains], [g.hi for g in gains], color=colour, alpha=0.15, lw=0)
            axes.set_xlabel("α")
        grid[0].set_ylabel("AUC − cross-entropy's, same seed")
        handles, labels = grid[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure
