"""A whole experiment in one world, for a cell: warm-up, A/A and A/B with users split, and nothing left on the disk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from simulator.lab.run import start_run
from simulator.run_folder.reader import Run, read_run
from simulator.scenario import Scenario, parse_scenario
from simulator.studies.cells import Rows
from simulator.studies.worlds import RARELY_H, scratch

__all__ = ["ExperimentCell", "run_world"]

SAID = "a cell of a study"


def run_world(scenario: Scenario, folder: Path) -> Run:
    """Run a scenario in this process and read what it left in the folder, which must not be there. Raises RunFailed."""
    start_run(scenario, folder, command=SAID, workers=1, quiet=True)
    return read_run(folder)


def seldom_saved(raw: Mapping[str, Any]) -> Scenario:
    """The scenario of a run that nobody resumes, and that no broker is needed for."""
    log = {"url": "embedded", "encoding": "arrow"}
    return parse_scenario({**raw, "checkpoint_every_hours": RARELY_H, "log": log})


class ExperimentCell(NamedTuple):
    """raw: its scenario with its seed, as `as_mapping` gives it."""

    key: str
    raw: Mapping[str, Any]

    @property
    def keys(self) -> tuple[str]:
        return (self.key,)

    def make(self) -> dict[str, Rows]:
        """A row a day of A/B and arm, as of a launch: what the split would give on average, and the stamps' quality."""
        truth = {"experiment": True, "launch": False}
        scenario = seldom_saved({**self.raw, "truth": {**self.raw["truth"], **truth}})
        with scratch(scenario) as folder:
            run = run_world(scenario, folder)
            daily = {(row["day"], row["arm"]): row for row in run.daily.to_pylist()}
            rows = []
            for row in run.truth.to_pylist():
                day = daily[row["day"], row["arm"]]
                quality = {name: day[name] for name in ("auc", "logloss", "calibration")}
                rows.append({name: row[name] for name in ("arm", "day", "exposures", "expected_clicks")} | quality)
        return {self.key: rows}

    def halves(self) -> tuple[ExperimentCell]:
        return (self,)
