"""Serving a replay: what was shown is given, the deployed version stamps it when it passes, and its label follows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from reloop_stream.events import ClickBatch
from reloop_stream.learners.base import FrozenModel
from reloop_stream.serving.scores import Scores
from reloop_stream.state.checkpoint import Sections
from simulator.datasets.catalogue import Catalogue
from simulator.datasets.rows import ReplayRows
from simulator.experiment.assignment import Assignment
from simulator.experiment.calendar import Calendar
from simulator.replay.policy_judge import PolicyJudge
from simulator.serving.deployments import Deployments, Thaw
from simulator.serving.event_writer import EventWriter
from simulator.serving.exact_sums import BoundSum, TruthSum

__all__ = ["ReplayServer"]


class ReplayServer:
    """Replays events to some arms. A click comes at its exposure's own time.

    rows: the number of a tick's first row, and its rows. assignment: of users to arms; None: every arm sees every event
    (paired). names: of all arms; an arm's number is its partition. serves: numbers of the arms served here. judge: where the
    arms are judged as policies. catalogue: what could have been shown.
    """

    def __init__(
        self,
        rows: Callable[[int], tuple[int, ReplayRows]],
        calendar: Calendar,
        deployments: Deployments,
        writer: EventWriter,
        assignment: Assignment | None,
        names: Sequence[str],
        serves: Sequence[int],
        catalogue: Catalogue | None = None,
        judge: PolicyJudge | None = None,
    ) -> None:
        self.tick = -1
        self.deployments = deployments
        self.exposures = 0
        self._writer = writer
        self._rows = rows
        self._calendar = calendar
        self._assignment = assignment
        self._names = list(names)
        self._serves = list(serves)
        self._catalogue = catalogue
        self._judge = judge

    def serve(self, tick: int) -> None:
        """Stamp and append one tick's events and marks. Raises FeedStopped while it waits for a version."""
        if tick < self._calendar.serving_ticks:
            model = self.deployments.serving(tick)
            first, rows = self._rows(tick)
            ids = first + np.arange(len(rows), dtype=np.int64)
            if self._assignment is None:
                scores = _stamp(model, rows)
                for arm in self._serves:
                    # Unique over arms, in the order of the rows in each.
                    self._append(tick, arm, ids, ids * len(self._names) + arm, rows, model, scores)
            else:
                arms = self._assignment.arms(rows.user_id)
                for arm in self._serves:
                    mine = np.flatnonzero(arms == arm)
                    if len(mine):
                        part = rows.take(mine)
                        self._append(tick, arm, ids[mine], ids[mine], part, model, _stamp(model, part))
        self._writer.end_tick(tick, int(self._calendar.bounds_ms[tick + 1]))
        self.tick = tick

    def _append(
        self,
        tick: int,
        arm: int,
        request_id: np.ndarray,
        exposure_id: np.ndarray,
        rows: ReplayRows,
        model: FrozenModel,
        scores: Scores,
    ) -> None:
        """request_id: the number of the row, by which the arms' copies of one event are found."""
        batch = scores.exposures(
            request_id=request_id if rows.request_id is None else rows.request_id,
            exposure_id=exposure_id,
            event_time_ms=rows.time_ms,
            user_id=rows.user_id,
            item_id=rows.item_id,
            arm=self._names[arm],
            position=0 if rows.position is None else rows.position,
            n_candidates=_candidates(rows, self._catalogue),
            propensity=np.nan if rows.propensity is None else rows.propensity,
            features=rows.features,
            weight=rows.weight,
        )
        if self._judge is not None:
            self._judge.judge(tick, arm, self._names[arm], rows, model)
        self.exposures += len(rows)
        self._writer.exposures(arm, batch, tick)
        clicked = np.flatnonzero(rows.label)
        times = rows.time_ms[clicked]
        self._writer.clicks(arm, ClickBatch(exposure_id[clicked], times, times), tick)

    def truth_sums(self) -> list[TruthSum]:
        """None: what was shown did not depend on the arm."""
        return []

    def bound_sums(self) -> list[BoundSum]:
        """None, likewise."""
        return []

    def checkpoint(self) -> Sections:
        self._writer.flush()
        if self._judge is not None:
            self._judge.write()
        sections = Sections()
        sections.put("server", {"tick": self.tick, "ends": self._writer.ends()})
        self.deployments.put_into(sections)
        return sections

    def restore(self, sections: Sections, thaw: Thaw) -> None:
        self.fork([sections], thaw, is_elsewhere=False)
        self._writer.resume_after(sections.get("server")[0]["ends"])

    def fork(self, before: Sequence[Sections], thaw: Thaw, *, is_elsewhere: bool) -> None:
        """is_elsewhere: of no importance, for all clicks of a tick come in it."""
        self.tick = before[0].get("server")[0]["tick"]
        self.deployments.get_from(before[0], thaw)

    def close(self) -> None:
        self.deployments.close()
        self._writer.close()


def _stamp(model: FrozenModel, rows: ReplayRows) -> Scores:
    return Scores(model.predict(rows.features), model.name, model.version)


def _candidates(rows: ReplayRows, catalogue: Catalogue | None) -> np.ndarray | int:
    """Out of how many items each was shown: its slate's, as far as it was logged, or the catalogue's."""
    if rows.request_id is not None:
        _, request, shown = np.unique(rows.request_id, return_inverse=True, return_counts=True)
        return np.asarray(shown[request])
    return 1 if catalogue is None else len(catalogue)
