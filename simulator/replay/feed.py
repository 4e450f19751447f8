"""A replayed data set as a feed: what was shown is given, and every arm's model stamps it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from reloop_stream.config import FieldConfig
from simulator.datasets.prepared import Prepared
from simulator.datasets.rows import ReplayRows
from simulator.experiment.assignment import Assignment
from simulator.experiment.calendar import Calendar
from simulator.replay.policy_judge import PolicyJudge
from simulator.replay.server import ReplayServer
from simulator.replay.stream import ReplayStream, prepare_rows
from simulator.run_folder.writer import RunFolder
from simulator.scenario import Scenario
from simulator.serving.deployments import Deployments
from simulator.serving.event_writer import EventWriter

__all__ = ["ReplayedFeed"]


class ReplayedFeed:
    """A `Feed` of a scenario with data."""

    kind: Literal["replay"] = "replay"
    has_truth = False
    expected_exposures = None
    items = None

    def __init__(self, scenario: Scenario, assignment: Assignment, rows: Path, folder: RunFolder) -> None:
        assert scenario.data is not None and scenario.features is not None
        self._scenario = scenario
        self._assignment = assignment
        self._data = scenario.data
        self._rows = rows
        self._folder = folder
        self.fields: list[FieldConfig] = scenario.features
        self._taken: tuple[int, tuple[int, ReplayRows]] | None = None

    @cached_property
    def _prepared(self) -> Prepared:
        return Prepared(self._rows)

    @cached_property
    def _stream(self) -> ReplayStream:
        return ReplayStream.of(self._scenario, self._prepared)

    def prepare(self, rows: Path, told: Callable[[int], None]) -> tuple[list[str], list[str]]:
        self._rows = rows
        prepare_rows(self._scenario, rows, told).close()
        return self._stream.warnings, self._stream.notes

    def close(self) -> None:
        if "_prepared" in self.__dict__:
            self._prepared.close()

    def _tick(self, tick: int) -> tuple[int, ReplayRows]:
        """The number of a tick's first row, and its rows: taken once for all servers of this process."""
        if self._taken is None or self._taken[0] != tick:
            self._taken = tick, self._stream.tick(tick)
        return self._taken[1]

    @property
    def calendar(self) -> Calendar:
        return self._stream.calendar

    @property
    def base_rate(self) -> float:
        return self._stream.base_rate

    @property
    def top(self) -> Sequence[int]:
        return self._data.top if self._stream.has_slates else ()

    def segments(self) -> None:
        """None: the data set says nothing of its users."""

    def is_random(self, request_id: np.ndarray) -> None:
        """None: nothing is drawn."""

    def server(
        self,
        serves: Sequence[int],
        shard: int,
        deployments: Deployments,
        writer: EventWriter,
        *,
        truth: bool,
        bounds: bool,
    ) -> ReplayServer:
        names = [arm.name for arm in self._scenario.arms]
        assignment = None if self._scenario.is_paired else self._assignment
        judge, catalogue = None, self._stream.catalogue
        if self._data.off_policy is not None:
            assert catalogue is not None
            judge = PolicyJudge(self._scenario.serving, self.fields, self.calendar, self._folder, catalogue)
        return ReplayServer(self._tick, self.calendar, deployments, writer, assignment, names, serves, catalogue, judge)
