"""Cells in which each arm is launched for everyone. Cells of one past and one control share both: they are made together.

A sweep of a treatment's knob asks for the same warm-up, A/A and control at every value. So the arms of several cells become
arms of one scenario, under numbers for names, and what is alike is computed once. Arms do not meet in launched worlds: the
rows are those that each cell would have had alone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from simulator.scenario import parse_scenario
from simulator.studies.cells import Rows
from simulator.studies.launched import launch_all
from simulator.studies.worlds import scratch

__all__ = ["LaunchBatch", "LaunchCell", "batches_of"]

# Treatments that are launched together. More save less and less: the past and the control that they share cost as much as two or
# three of them; and what is cut off is lost.
MOST_TREATMENTS = 16


class LaunchCell(NamedTuple):
    """raw: its scenario with its seed, as `as_mapping` gives it."""

    key: str
    raw: Mapping[str, Any]

    @property
    def past(self) -> str:
        """What cells must have in common to be made together: all but the treatments."""
        return json.dumps({**self.raw, "arms": self.raw["arms"][:1]}, sort_keys=True)

    @property
    def treatments(self) -> dict[str, str]:
        """Name → settings of each arm but the control."""
        return {arm["name"]: json.dumps(arm["learner"], sort_keys=True) for arm in self.raw["arms"][1:]}


class LaunchBatch(NamedTuple):
    """Cells of one past and one control."""

    cells: tuple[LaunchCell, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(cell.key for cell in self.cells)

    def make(self) -> dict[str, Rows]:
        """Key → a row a day and arm, of all cells."""
        first = self.cells[0].raw
        control, alone = first["arms"][0], len(self.cells) == 1
        names: dict[str, str] = {}  # by settings; of a cell that is made alone its own, so that an error names the arm
        for cell in self.cells:
            for arm, settings in cell.treatments.items():
                names.setdefault(settings, arm if alone else str(1 + len(names)))
        of_control = control["name"] if alone else "0"
        learners = {of_control: control["learner"]} | {name: json.loads(one) for one, name in names.items()}
        arms = [{"name": name, "learner": learner} for name, learner in learners.items()]
        scenario = parse_scenario({**first, "arms": arms})
        days: dict[str, Rows] = {name: [] for name in learners}
        with scratch(scenario) as folder:
            for day in launch_all(scenario, folder):
                days[day.arm].append(day._asdict())
        found = {}
        for cell in self.cells:
            launched = {control["name"]: of_control}
            launched |= {arm: names[settings] for arm, settings in cell.treatments.items()}
            found[cell.key] = [{**day, "arm": arm} for arm, name in launched.items() for day in days[name]]
        return found

    def halves(self) -> tuple[LaunchBatch, LaunchBatch]:
        middle = len(self.cells) // 2
        return LaunchBatch(self.cells[:middle]), LaunchBatch(self.cells[middle:])


def batches_of(cells: Sequence[LaunchCell], at_once: int) -> list[LaunchBatch]:
    """The cells in as few batches as keep `at_once` processes busy."""
    by_past: dict[str, list[LaunchCell]] = {}
    for cell in cells:
        by_past.setdefault(cell.past, []).append(cell)
    found = []
    for group in by_past.values():
        most = math.ceil(len(group) / math.ceil(at_once / len(by_past)))
        batch: list[LaunchCell] = []
        treatments: set[str] = set()
        for cell in group:
            more = treatments | {*cell.treatments.values()}
            if batch and (len(batch) == most or len(more) > MOST_TREATMENTS):
                found.append(LaunchBatch(tuple(batch)))
                batch, more = [], {*cell.treatments.values()}
            batch.append(cell)
            treatments = more
        found.append(LaunchBatch(tuple(batch)))
    return found
