"""A whole experiment in one world, for a cell: warm-up, A/A and A/B with users split, and nothing left on the disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from simulator.lab.run import start_run
from simulator.readout.statistics.estimate import Estimate
from simulator.readout.statistics.uplift import ESTIMATORS, cuped_or_raw, raw
from simulator.readout.statistics.users import group_users
from simulator.readout.truth import true_uplift
from simulator.run_folder.reader import Run, read_run
from simulator.scenario import Scenario, parse_scenario
from simulator.studies.cells import Rows
from simulator.studies.worlds import RARELY_H, scratch

__all__ = ["AA", "ExperimentCell", "as_test", "estimates", "run_world"]

SAID = "a cell of a study"

AA = "aa"  # the raw uplift in the A/A days: a difference of arms that are served alike
TRUE = ("arm", "day", "exposures", "expected_clicks")


def run_world(scenario: Scenario, folder: Path) -> Run:
    """Run a scenario in this process and read what it left in the folder, which must not be there.

    Nothing is computed, drawn or reported: of a world of 100 users that would take longer than the world. Raises RunFailed.
    """
    start_run(scenario, folder, command=SAID, workers=1, quiet=True)
    return read_run(folder)


def estimates(run: Run) -> Iterator[tuple[str, str, Estimate]]:
    """(arm, estimator, estimate) of every treatment: of A/B by each estimator, and raw of A/A where there are such days."""
    if run.users is None:
        return
    users, phases = group_users(run.users, run.arms).arms, set(run.daily["phase"].to_pylist())
    for arm in run.treatments:
        pair = users[run.control], users[arm]
        if "aa" in phases:
            yield arm, AA, raw(*(rows.sums(rows.of_phase("aa")) for rows in pair))
        if "ab" in phases:
            whole = [rows.sums(rows.of_phase("ab")) for rows in pair]
            yield from ((arm, name, of(*whole)) for name, of in ESTIMATORS.items())


def as_test(raw: Mapping[str, Any], data: str | None = None) -> dict[str, Any]:
    """The scenario with the truth that the split estimates, and no other. data: what its arms train on; None for what it says."""
    experiment = raw["experiment"] if data is None else {**raw["experiment"], "data": data}
    return {**raw, "truth": {name: name == "experiment" for name in raw["truth"]}, "experiment": experiment}


class ExperimentCell(NamedTuple):
    """An experiment, and all that a study asks of it.

    raw: its scenario with its seed, as `as_mapping` gives it. Its rows are of four kinds, by `table`: `estimate` (a treatment and
    estimator), `truth` (a treatment and kind), `look` (a treatment, phase and day: the p-value over the phase's days so far) and
    `day` (an arm and day of A/B, as of a launch).
    """

    key: str
    raw: Mapping[str, Any]

    @property
    def keys(self) -> tuple[str]:
        return (self.key,)

    def halves(self) -> tuple[ExperimentCell]:
        return (self,)

    def make(self) -> dict[str, Rows]:
        # Nobody resumes it, and it wants no broker.
        log = {"url": "embedded", "encoding": "arrow"}
        scenario = parse_scenario({**self.raw, "checkpoint_every_hours": RARELY_H, "log": log})
        with scratch(scenario) as folder:
            return {self.key: _rows(run_world(scenario, folder))}


def _rows(run: Run) -> Rows:
    rows: Rows = [
        {"table": "estimate", "arm": arm, "estimator": name, **found._asdict()} for arm, name, found in estimates(run)
    ]
    for arm in run.treatments:
        rows += [
            {"table": "truth", "arm": arm, "kind": kind, "uplift": value}
            for kind, value in true_uplift(run, arm).items()
        ]
    daily = {(row["day"], row["arm"]): row for row in run.daily.to_pylist()}
    for row in run.truth.to_pylist():
        if row["kind"] == "experiment":
            quality = {name: daily[row["day"], row["arm"]][name] for name in ("auc", "logloss", "calibration")}
            rows.append({"table": "day"} | {name: row[name] for name in TRUE} | quality)
    if run.users is not None:
        users = group_users(run.users, run.arms)
        for phase, of in (("aa", raw), ("ab", cuped_or_raw)):
            days = sorted({day for day, arm in daily if daily[day, arm]["phase"] == phase})
            for arm in run.treatments:
                pairs = zip(*(users.arms[name].running(days) for name in (run.control, arm)), strict=True)
                rows += [
                    {"table": "look", "arm": arm, "phase": phase, "day": day, "p": of(*pair).p}
                    for day, pair in zip(days, pairs, strict=True)
                ]
    return rows
