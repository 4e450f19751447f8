"""What each arm's model would have shown in place of what was logged, row by row, for the readout to judge it by."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from reloop_stream.config import FieldConfig
from reloop_stream.events import Column, take_column
from reloop_stream.learners.base import FrozenModel
from simulator.datasets.catalogue import Catalogue
from simulator.datasets.rows import ReplayRows
from simulator.experiment.calendar import Calendar
from simulator.run_folder.columns import OFF_POLICY_COLUMNS
from simulator.run_folder.tables import repeated, table_of
from simulator.run_folder.writer import RunFolder
from simulator.scenario import ServingConfig
from simulator.serving.slates import first_slot

__all__ = ["PolicyJudge", "score_catalogue"]

MAX_CELLS = 1 << 18  # rows × items scored at once, where a model has features of both: a few dozen MiB


class PolicyJudge:
    """The policy is `serving`'s, in a slate of one: each row is a slot of its own, which any item of the catalogue may fill.

    What is judged is kept in memory until `write`, which a server calls before each of its checkpoints.
    """

    def __init__(
        self,
        serving: ServingConfig,
        fields: list[FieldConfig],
        calendar: Calendar,
        folder: RunFolder,
        catalogue: Catalogue,
    ) -> None:
        self._serving = serving
        self._fields = [field.name for field in fields]
        self._calendar = calendar
        self._folder = folder
        self._catalogue = catalogue
        self._judged: dict[int, list[tuple[int, pa.Table]]] = {}  # by the number of the arm: tick, rows

    def judge(self, tick: int, arm: int, name: str, rows: ReplayRows, model: FrozenModel) -> None:
        """Keep what the model makes of an arm's rows. Nothing of version 0, which prefers no item."""
        if model.version == 0:
            return
        assert rows.propensity is not None
        scores = score_catalogue(model, rows, self._catalogue, self._fields)
        policy = first_slot(scores, self._serving.policy, self._serving.random_share)
        shown = np.arange(len(rows)), self._catalogue.rows_of(rows.item_id)
        day = self._calendar.day_of_tick(tick)
        n = len(rows)
        columns = (
            np.full(n, day, dtype=np.int32),
            repeated(self._calendar.phases[day], n),
            repeated(name, n),
            rows.user_id,
            rows.label,
            rows.propensity,
            policy[shown],
            scores[shown],
            (policy * scores).sum(axis=1),
        )
        table = table_of(dict(zip(OFF_POLICY_COLUMNS, columns, strict=True)))
        self._judged.setdefault(arm, []).append((tick, table))

    def write(self) -> None:
        """Write what was judged since the last time. A restart judges the ticks after its checkpoint again, and writes over
        the files that begin with them."""
        for arm, judged in self._judged.items():
            self._folder.write_judged(arm, judged[0][0], pa.concat_tables([table for _, table in judged]))
        self._judged = {}


def score_catalogue(model: FrozenModel, rows: ReplayRows, catalogue: Catalogue, fields: list[str]) -> np.ndarray:
    """pCTR of each item for each row's user and moment, float64 [n, items]. fields: those that the model sees."""
    of_items = {name: column for name, column in catalogue.features.items() if name in fields}
    of_both = {name: values for name, values in rows.pairs.items() if name in fields}
    of_rows = {name: rows.features[name] for name in fields if name not in of_items and name not in of_both}
    n, items = len(rows), len(catalogue)
    if not of_both:
        candidates = np.broadcast_to(np.arange(items), (n, items))
        return model.score_candidates(of_rows, of_items, candidates)
    scores = np.empty((n, items))
    step = max(1, MAX_CELLS // items)
    for first in range(0, n, step):
        part = np.arange(first, min(first + step, n))
        row, item = np.repeat(part, items), np.tile(np.arange(items), len(part))
        features: Mapping[str, Column] = {
            **{name: take_column(column, row) for name, column in of_rows.items()},
            **{name: take_column(column, item) for name, column in of_items.items()},
            **{name: values[part].ravel() for name, values in of_both.items()},
        }
        scores[part] = model.predict(features).reshape(len(part), items)
    return scores
