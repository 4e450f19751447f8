"""What a process of a run writes into the run folder as it goes: finished days, and what monitors say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from reloop_stream.updating.monitor import MonitorReading
from simulator.experiment.calendar import Calendar
from simulator.experiment.stages import Learning
from simulator.lab.open_day import DayOfArm
from simulator.lab.reports import DayClosed, Report
from simulator.run_folder.day_files import Part
from simulator.run_folder.tables import repeated
from simulator.run_folder.writer import RunFolder

__all__ = ["Recorder"]


class Recorder:
    """names: of all arms, by number."""

    def __init__(self, folder: RunFolder, calendar: Calendar, names: list[str]) -> None:
        self._folder = folder
        self._calendar = calendar
        self._names = names
        self._readings: dict[str, list[dict[str, Any]]] = {}

    def close_day(self, day: DayOfArm, report: Report) -> None:
        """Keep a finished day as files, which are written over should a resumed run come here again, and tell of its row."""
        row, n = day.row, len(day.user_id)
        columns = {
            "user_id": day.user_id,
            **_place(row, n),
            "exposures": day.exposures,
            "clicks": day.clicks,
            **day.ranking,
        }
        parts: dict[Part, Mapping[str, Any]] = {}
        if day.items is not None and day.topics is not None:
            parts = {"items": {**_place(row, len(day.items["item_id"])), **day.items}, "topics": day.topics}
        self._folder.write_day(row, columns, day.blocks, day.reliability, parts)
        report(DayClosed(row))

    def read_monitor(self, role: Learning, reading: MonitorReading) -> None:
        """Keep what a learner's monitor says, under the arm whose settings it has, until the next checkpoint."""
        calendar, day = self._calendar, self._calendar.day_of_tick(reading.tick)
        begins, ends = calendar.day_bounds_ms[day : day + 2].tolist()
        place = {"learner": role.name, "arm": self._names[role.config_of], "day": day}
        # Closing ticks, which may take long in a replay, count as the end of the last day.
        time = day + min(1.0, (reading.watermark_ms - begins) / (ends - begins))
        row = {**place, "time": time, **reading._asdict(), "alarm": int(reading.alarm)}
        self._readings.setdefault(role.name, []).append(row)

    def write_readings(self, learner: str) -> None:
        """Write what its monitor has said since the last time. To be called before the learner's checkpoint is written:
        what comes after a checkpoint is said again when a run goes on from it."""
        if rows := self._readings.pop(learner, None):
            self._folder.write_readings(rows)


def _place(row: Mapping[str, Any], n: int) -> dict[str, Any]:
    """The columns that say which day of which arm n rows are of."""
    return {
        "arm": repeated(row["arm"], n),
        "day": np.full(n, row["day"], dtype=np.int32),
        "phase": repeated(row["phase"], n),
    }
