"""A run's daily figures as TensorBoard reads them: a scalar a day and arm, in a folder an arm, so that arms share a chart."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from simulator.readout.results import Results

__all__ = ["FOLDER", "Scalar", "daily_scalars", "write_tensorboard"]

FOLDER = "tensorboard"
DAY_S = 86_400
# Of daily.csv.
COLUMNS = (
    "ctr", "auc", "logloss", "calibration", "progressive_auc", "progressive_logloss", "progressive_calibration",
)  # fmt: skip


class Scalar(NamedTuple):
    """A value of one arm on one day, counted from 1."""

    arm: str
    tag: str
    day: int
    value: float


def daily_scalars(results: Results) -> Iterator[Scalar]:
    """CTR and quality of every arm's days, and of a treatment its uplift so far, with its interval and the true one of the
    day; what is not defined on a day is left out."""
    for day in results.days:
        arm, number = day.row["arm"], day.row["day"] + 1
        found = {name: day.row.get(name) for name in COLUMNS}
        if day.so_far is not None:
            found |= {f"uplift/{name}": getattr(day.so_far, name) for name in ("relative", "lo", "hi")}
        truth = results.truth_days.get(arm, {}).get("experiment", {})
        found["uplift/truth_of_the_day"] = truth.get(day.row["day"])
        for tag, value in found.items():
            if value is not None and math.isfinite(value):
                yield Scalar(arm, tag, number, float(value))


def write_tensorboard(results: Results) -> Path:
    """Write the scalars of a run into its folder, in place of those of before; the folder that TensorBoard is to read.

    A step is a day, and so is the time: TensorBoard's relative time is that of the simulation. Raises ImportError without
    the package tensorboardX.
    """
    from tensorboardX import SummaryWriter

    folder = results.run.path / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    writers = {arm: SummaryWriter(str(folder / _file_name(arm))) for arm in results.run.arms}
    for arm, tag, day, value in daily_scalars(results):
        writers[arm].add_scalar(tag, value, day, walltime=day * DAY_S)
    for writer in writers.values():
        writer.close()
    return folder


def _file_name(arm: str) -> str:
    """An arm of a table of one's own may be called anything.

    >>> _file_name("reloop-0.2"), _file_name("a/b"), _file_name("..")
    ('reloop-0.2', 'a%2Fb', '%2E%2E')
    """
    name = quote(arm, safe=" ")
    return name if name.strip(".") else name.replace(".", "%2E")
