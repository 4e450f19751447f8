"""A sweep: knobs of a scenario over a grid, each point in the same worlds, and what every arm comes to there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pandas as pd

from reloop_stream.config.yaml_files import Location
from reloop_stream.errors import ConfigError
from reloop_stream.state.files import write_atomic
from simulator.errors import ScenarioError
from simulator.readout.statistics.estimate import Estimate
from simulator.scenario import parse_scenario
from simulator.studies.across_seeds import across_seeds
from simulator.studies.cells import Batch, Failure, StudyFolder, making, safe_key, usual_folder
from simulator.studies.engines import Engine
from simulator.studies.experiments import ExperimentCell, as_test
from simulator.studies.knobs import Knob, points, with_values
from simulator.studies.launches import LaunchCell, batches_of
from simulator.studies.measures import MEASURES, QUALITY, measured, short, shown_value
from simulator.studies.text_table import aligned, number, p_number, with_interval
from simulator.studies.tuning import Tuned, TuningPlan, tune
from simulator.studies.worlds import as_mapping, in_world, require_world

__all__ = ["Sweep", "SweepPlan", "Truth", "run_sweep"]

Truth = Literal["launch", "experiment"]

MOST_LINES = 60  # of the table for the terminal
FORMS = {"ctr": ".3%", "auc": ".4f", "logloss": ".4f", "calibration": ".3f"}


class SweepPlan(NamedTuple):
    """raw: the scenario, as `raw_scenario` gives it. truth: in which worlds; launch: each arm launched for everyone, experiment:
    users split, and what the split would give on average."""

    raw: Mapping[str, Any]
    knobs: Sequence[Knob]
    seeds: Sequence[int]
    truth: Truth = "launch"
    tuning: TuningPlan | None = None


@dataclass(frozen=True)
class Sweep:
    """What a sweep found. rows: one a point, seed and arm: the knobs' values by their paths, seed, arm, `MEASURES`. summary: one a
    point and arm, with means over seeds, and of the uplift a 95% t interval and the p-value across seeds.
    cells: how many there should be. tuned: None where nothing was."""

    scenario: str
    control: str
    knobs: Sequence[Knob]
    truth: Truth
    rows: pd.DataFrame
    summary: pd.DataFrame
    out: Path
    cells: int
    failures: list[Failure]
    tuned: Tuned | None = None

    def __str__(self) -> str:
        """The summary as a table."""
        lines = [
            [
                *(knob.path for knob in self.knobs),
                "arm",
                "seeds",
                "true uplift",
                "p",
                "CTR",
                "AUC",
                "log loss",
                "calibration",
            ]
        ]
        for row in self.summary.to_dict("records"):
            uplift = Estimate(row["uplift"], row["lo"], row["hi"], row["p"])
            is_control = row["arm"] == self.control
            lines.append(
                [
                    *(short(row[knob.path]) for knob in self.knobs),
                    row["arm"],
                    str(row["seeds"]),
                    "" if is_control else with_interval(uplift),
                    "" if is_control else p_number(row["p"]),
                    *(number(row[name], form) for name, form in FORMS.items()),
                ]
            )
        more = len(lines) - 1 - MOST_LINES
        table = aligned(lines[: 1 + MOST_LINES], left=len(self.knobs) + 1)
        if more > 0:
            table += f"\n… {more} more in summary.csv"
        return table if self.tuned is None else f"{self.tuned}\n\n{table}"


class _Point(NamedTuple):
    """values: by path, as tables have them. raw: its scenario, None where it is none."""

    values: dict[str, Any]
    keys: dict[int, str]
    raw: dict[str, Any] | None


def run_sweep(plan: SweepPlan, out: Path | None, engine: Engine, *, quiet: bool = False) -> Sweep:
    """Make the cells that the folder lacks, and put all of the plan's together; writes sweep.csv and summary.csv there.

    out: the folder; None for one in runs/ that the scenario names. Raises ConfigError for a mistake in the scenario, or at every
    point of the grid, RunFolderError for a folder of another study, Interrupted, WorkerDied; CellsFailed where an arm has no trial.
    """
    base = parse_scenario(plan.raw)
    require_world(base)
    if len({knob.path for knob in plan.knobs}) < len(plan.knobs):
        raise ConfigError("--grid: a knob is given twice; one --grid a knob")
    settings: dict[str, Any] = {"study": "sweep", "truth": plan.truth, "scenario": in_world(as_mapping(base), 0)}
    if plan.tuning is not None:
        settings["tune"] = plan.tuning.settings
    folder = StudyFolder(out or usual_folder(base.name, settings), settings)
    found, failures = _points(plan)
    tuned, cells = None, sum(len(point.keys) for point in found)
    trials = plan.tuning.cells(len(base.arms)) if plan.tuning is not None else 0
    with making(folder, engine, trials + cells, quiet=quiet) as make_all:
        if plan.tuning is not None:
            tuned = tune(plan.raw, plan.tuning, plan.seeds, folder, make_all, engine.size)
            found, failures = _points(plan._replace(raw=tuned.raw))
        missing = {
            key: in_world(point.raw, seed)
            for point in found
            if point.raw is not None
            for seed, key in point.keys.items()
            if not folder.has(key)
        }
        batches: Sequence[Batch]
        if plan.truth == "launch":
            batches = batches_of([LaunchCell(*one) for one in missing.items()], engine.size)
        else:
            batches = [ExperimentCell(key, as_test(raw)) for key, raw in missing.items()]
        failures += make_all(batches, cells)
    rows = pd.DataFrame(
        [
            {**point.values, "seed": seed, **arm}
            for point in found
            for seed, key in point.keys.items()
            if folder.has(key)
            for arm in measured(folder.rows(key), base.control.name)
        ],
        columns=[*(knob.path for knob in plan.knobs), "seed", "arm", *MEASURES],
    )
    summary = _summary(plan.knobs, rows)
    write_atomic(folder.path / "sweep.csv", rows.to_csv(index=False).encode())
    write_atomic(folder.path / "summary.csv", summary.to_csv(index=False).encode())
    return Sweep(
        base.name, base.control.name, plan.knobs, plan.truth, rows, summary, folder.path, cells, failures, tuned
    )


def _points(plan: SweepPlan) -> tuple[list[_Point], list[Failure]]:
    """The points of the grid, and a failure for each cell of those at which there is no scenario.

    Raises the first one's mistake where there is none at any.
    """
    found: list[_Point] = []
    failures: list[Failure] = []
    for values in points(plan.knobs):
        shown = {path: shown_value(value) for path, value in values.items()}
        where = ",".join(f"{path}={value}" for path, value in shown.items())
        # No arm's name has a +, and no file's name should have a *.
        keys = {seed: safe_key(f"seed{seed}-{where.replace('*', '+')}".rstrip("-")) for seed in plan.seeds}
        raw = None
        try:
            scenario = parse_scenario(with_values(plan.raw, values), partial(_at, where))
            if not scenario.phases.ab_days:
                raise ScenarioError(
                    f"{_at(where)}: phases.ab_days: got 0, must be above 0: a sweep measures days of A/B"
                )
            raw = as_mapping(scenario)
        except ConfigError as error:
            failures += [Failure(key, str(error), True) for key in keys.values()]
        found.append(_Point(shown, keys, raw))
    if all(point.raw is None for point in found):
        raise ScenarioError(f"no point of the grid is a scenario; the first: {failures[0].message}")
    return found, failures


def _at(point: str, _: Location = ()) -> str:
    """What messages call the scenario at a point of the grid."""
    return f"--grid {point}"


def _summary(knobs: Sequence[Knob], rows: pd.DataFrame) -> pd.DataFrame:
    by = [*(knob.path for knob in knobs), "arm"]
    found = []
    for values, mine in rows.groupby(by, sort=False):
        uplift = across_seeds(mine["uplift"].to_numpy())
        means = {name: mine[name].mean() for name in ("ctr", *QUALITY)}
        apart = {"uplift": uplift.mean, "lo": uplift.lo, "hi": uplift.hi, "p": uplift.p}
        found.append(dict(zip(by, values, strict=True)) | {"seeds": len(mine), **apart, **means})
    return pd.DataFrame(found, columns=[*by, "seeds", "uplift", "lo", "hi", "p", "ctr", *QUALITY])
