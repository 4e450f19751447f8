"""A replication: the same experiment in many worlds, and every estimate beside the truth of its world."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from reloop_stream.errors import ConfigError
from reloop_stream.state.files import write_atomic
from simulator.errors import ScenarioError
from simulator.readout.statistics.estimate import Estimate
from simulator.scenario import Scenario, parse_scenario
from simulator.studies.cells import Batch, Failure, Rows, StudyFolder, making, usual_folder
from simulator.studies.engines import Engine
from simulator.studies.experiments import AA, ExperimentCell, as_test
from simulator.studies.launches import LaunchCell, batches_of
from simulator.studies.measures import MEASURES, measured
from simulator.studies.tuning import Tuned, TuningPlan, tune
from simulator.studies.worlds import as_mapping, in_world, require_world

__all__ = ["AA_OWN", "DATA", "Replication", "ReplicationPlan", "run_replication"]

DATA = ("own", "shared", "co_diverted")  # what arms may train on; see `ExperimentConfig`
AA_OWN = "aa_own"  # the raw uplift in A/A days on which each arm has a learner of its own
LAUNCH = "launch"

COLUMNS = ("seed", "arm", "estimator", "estimate", "lo", "hi", "p", "truth", "data", "launch")
NUMBERS = ("estimate", "lo", "hi", "p", "truth", "launch")
LOOK_COLUMNS = ("seed", "arm", "data", "phase", "day", "p")


class ReplicationPlan(NamedTuple):
    """raw: the scenario, as `raw_scenario` gives it. data: what the arms train on, one experiment each; empty: what the scenario
    says. aa_own: whether to run the A/A period again with a learner an arm."""

    raw: Mapping[str, Any]
    seeds: Sequence[int]
    data: Sequence[str] = ()
    aa_own: bool = True
    tuning: TuningPlan | None = None


@dataclass(frozen=True)
class Replication:
    """What many worlds said.

    rows: `COLUMNS`, one a seed, kind of training data, treatment and estimator; truth: of the experiment, 0 for an estimator of an
    A/A period; launch: the true uplift of a launch, NaN unless it is known. looks: `LOOK_COLUMNS`, the p-value over the days of a
    phase so far. arms: one a seed, kind of training data and arm: true CTR and uplift, and the stamps' quality.
    cells: how many there should be. tuned: None where nothing was.
    """

    scenario: Scenario
    data: Sequence[str]
    seeds: Sequence[int]
    rows: pd.DataFrame
    looks: pd.DataFrame
    arms: pd.DataFrame
    out: Path
    cells: int
    failures: list[Failure]
    tuned: Tuned | None = None

    def estimates(self, data: str, arm: str, estimator: str) -> list[Estimate]:
        """By seed."""
        mine = self._of(data, arm, estimator)
        return [Estimate(*found) for found in mine[["estimate", "lo", "hi", "p"]].itertuples(index=False)]

    def truths(self, data: str, arm: str, estimator: str, kind: str = "truth") -> list[float]:
        """Beside them. kind: truth or launch."""
        return [float(value) for value in self._of(data, arm, estimator)[kind]]

    def _of(self, data: str, arm: str, estimator: str) -> pd.DataFrame:
        rows = self.rows
        return rows[(rows["data"] == data) & (rows["arm"] == arm) & (rows["estimator"] == estimator)]


class _World(NamedTuple):
    """The keys of a seed's cells. tests: by kind of training data. aa_own, launch: None where they are not wanted."""

    seed: int
    tests: dict[str, str]
    aa_own: str | None
    launch: str | None


def run_replication(plan: ReplicationPlan, out: Path | None, engine: Engine, *, quiet: bool = False) -> Replication:
    """Make the cells that the folder lacks, and put all of the plan's together; writes replicate.csv, looks.csv and arms.csv.

    out: the folder; None for one in runs/ that the scenario names. Raises ConfigError for a mistake in the scenario, RunFolderError
    for a folder of another study, Interrupted, WorkerDied.
    """
    base = parse_scenario(plan.raw)
    _check(base, plan)
    data = tuple(plan.data) or (base.experiment.data,)
    wants_launch = len(data) > 1 or base.truth.launch
    settings: dict[str, Any] = {"study": "replicate", "scenario": in_world(as_mapping(base), 0)}
    if plan.tuning is not None:
        settings["tune"] = plan.tuning.settings
    folder = StudyFolder(out or usual_folder(base.name, settings), settings)
    worlds, tests, launches = _cells(plan, data, wants_launch, as_mapping(base))
    tuned, cells = None, len(tests) + len(launches)
    trials = plan.tuning.cells(len(base.arms)) if plan.tuning is not None else 0
    with making(folder, engine, trials + cells, quiet=quiet) as make_all:
        if plan.tuning is not None:
            tuned = tune(plan.raw, plan.tuning, plan.seeds, folder, make_all, engine.size)
            worlds, tests, launches = _cells(plan, data, wants_launch, as_mapping(parse_scenario(tuned.raw)))
        missing = [cell for cell in launches if not folder.has(cell.key)]
        batches: list[Batch] = [cell for cell in tests if not folder.has(cell.key)]
        failures = make_all([*batches, *batches_of(missing, engine.size)], cells)
    found = _put_together(base, data, plan.seeds, worlds, folder, failures)
    return replace(found, cells=cells, tuned=tuned)


def _cells(
    plan: ReplicationPlan, data: Sequence[str], wants_launch: bool, raw: Mapping[str, Any]
) -> tuple[list[_World], list[ExperimentCell], list[LaunchCell]]:
    """Which cells each world has, the experiments and the launches."""
    worlds, cells, launches = [], list[ExperimentCell](), list[LaunchCell]()
    for seed in plan.seeds:
        here = in_world(raw, seed)
        tests = {kind: f"seed{seed}-{kind}" for kind in data}
        cells += [ExperimentCell(key, as_test(here, kind)) for kind, key in tests.items()]
        aa_own = f"seed{seed}-{AA_OWN}" if plan.aa_own and raw["phases"]["aa_days"] else None
        if aa_own is not None:
            cells.append(ExperimentCell(aa_own, _own_aa(here)))
        launch = f"seed{seed}-{LAUNCH}" if wants_launch else None
        if launch is not None:
            launches.append(LaunchCell(launch, here))
        worlds.append(_World(seed, tests, aa_own, launch))
    return worlds, cells, launches


def _check(base: Scenario, plan: ReplicationPlan) -> None:
    require_world(base)
    if len(base.arms) < 2:
        raise ScenarioError(
            f"{base.name}: arms: got {base.control.name} alone; a replication wants a treatment beside the control"
        )
    if not base.phases.ab_days:
        raise ScenarioError(f"{base.name}: phases.ab_days: got 0, a replication wants days of A/B")
    for kind in plan.data:
        if kind not in DATA:
            raise ConfigError(f"--data: got {kind!r}, must be of {', '.join(DATA)}")
    if len({*plan.data}) < len(plan.data):
        raise ConfigError(f"--data: got {','.join(plan.data)}, names one twice")


def _own_aa(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The scenario's warm-up and A/A alone, with a learner an arm."""
    experiment = {**raw["experiment"], "aa": "own", "data": "own"}
    return {
        **raw,
        "truth": dict.fromkeys(raw["truth"], False),
        "experiment": experiment,
        "phases": {**raw["phases"], "ab_days": 0},
    }


def _put_together(
    base: Scenario,
    data: Sequence[str],
    seeds: Sequence[int],
    worlds: Sequence[_World],
    folder: StudyFolder,
    failures: list[Failure],
) -> Replication:
    rows: Rows = []
    looks: Rows = []
    arms: Rows = []
    for world in worlds:
        launched = _launched(world, folder, base.control.name)
        for place, (kind, key) in enumerate(world.tests.items()):
            if not folder.has(key):
                continue
            cell = folder.rows(key)
            label = {"seed": world.seed, "data": kind}
            truth = {
                row["arm"]: row["uplift"] for row in cell if row["table"] == "truth" and row["kind"] == "experiment"
            }
            for row in _table(cell, "estimate"):
                if row["estimator"] != AA:
                    rows.append(
                        {**label, **_named(row), "truth": truth[row["arm"]], "launch": launched.get(row["arm"])}
                    )
                elif not place:  # the A/A period is the same one in all
                    rows.append({**label, **_named(row), "truth": 0.0})
            looks += [{**label, **row} for row in _table(cell, "look") if row["phase"] == "ab" or not place]
            arms += [{**label, **row} for row in measured(cell, base.control.name)]
        if world.aa_own is not None and folder.has(world.aa_own):
            cell = folder.rows(world.aa_own)
            label = {"seed": world.seed, "data": "own"}
            rows += [{**label, **_named(row), "estimator": AA_OWN, "truth": 0.0} for row in _table(cell, "estimate")]
            looks += [{**label, **row, "phase": AA_OWN} for row in _table(cell, "look")]
    found = Replication(
        base,
        data,
        seeds,
        pd.DataFrame(rows, columns=list(COLUMNS)).astype(dict.fromkeys(NUMBERS, float)),
        pd.DataFrame(looks, columns=list(LOOK_COLUMNS)).astype({"p": float}),
        pd.DataFrame(arms, columns=["seed", "data", "arm", *MEASURES]),
        folder.path,
        0,
        failures,
    )
    for name, table in {"replicate": found.rows, "looks": found.looks, "arms": found.arms}.items():
        write_atomic(folder.path / f"{name}.csv", table.to_csv(index=False).encode())
    return found


def _table(cell: Rows, name: str) -> Rows:
    return [row for row in cell if row["table"] == name]


def _named(row: Mapping[str, Any]) -> dict[str, Any]:
    """An estimate under the names of replicate.csv."""
    return {
        "arm": row["arm"],
        "estimator": row["estimator"],
        "estimate": row["relative"],
        **{name: row[name] for name in ("lo", "hi", "p")},
    }


def _launched(world: _World, folder: StudyFolder, control: str) -> dict[str, float]:
    """Arm → true uplift of a launch; empty where it is not known."""
    if world.launch is None or not folder.has(world.launch):
        return {}
    return {row["arm"]: row["uplift"] for row in measured(folder.rows(world.launch), control)}
