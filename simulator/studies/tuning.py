"""Tuning before a study: every arm tries the same values, as often, on seeds of their own, and goes on with its best.

All arms have the same trials: a sampler that learns (optuna's) would give each arm others, and the luckier arm would look better.
The criterion is the true CTR of a launch, its mean over the tuning seeds. The control is first, for its learner serves A/A; the
others then begin beside the tuned control.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import qmc

from reloop_stream.config import as_yaml
from reloop_stream.errors import ConfigError
from reloop_stream.state.files import write_atomic
from simulator.scenario import parse_scenario
from simulator.studies.cells import CellsFailed, MakeAll, StudyFolder, safe_key
from simulator.studies.knobs import EVERY_ARM, Knob, Range, parse_range, points, with_values
from simulator.studies.launches import LaunchCell, batches_of
from simulator.studies.measures import measured, short, shown_value
from simulator.studies.worlds import as_mapping, in_world

__all__ = ["FIRST_SEED", "Tuned", "TuningPlan", "parse_tuning", "tune"]

FIRST_SEED = 1_000_001  # far from those that people report
MOST_TRIALS = 1000


class TuningPlan(NamedTuple):
    """trials: what every arm tries, path → value each, all paths with `arms.*.`. seeds: those to try them on."""

    trials: Sequence[Mapping[str, Any]]
    seeds: Sequence[int]

    @property
    def settings(self) -> dict[str, Any]:
        """For the file that says what a folder's cells are of."""
        return {"trials": [dict(trial) for trial in self.trials], "seeds": [*self.seeds]}

    def cells(self, arms: int) -> int:
        """How many cells it takes."""
        return arms * len(self.trials) * len(self.seeds)


class Choice(NamedTuple):
    """An arm's best trial. ctr: its mean over the tuning seeds. edges: paths whose value is the lowest or highest that was tried."""

    arm: str
    values: Mapping[str, Any]
    ctr: float
    edges: Sequence[str]


@dataclass(frozen=True)
class Tuned:
    """raw: the scenario with every arm's choice. table: one row an arm, trial and seed."""

    plan: TuningPlan
    raw: dict[str, Any]
    choices: list[Choice]
    table: pd.DataFrame

    def __str__(self) -> str:
        seeds = self.plan.seeds
        budget = f"{len(self.plan.trials)} trials an arm, the same for all, on {_seeds(seeds)} not reported"
        lines = [f"tuned by true CTR: {budget}"]
        for choice in self.choices:
            values = ", ".join(f"{_name(path)} {short(shown_value(value))}" for path, value in choice.values.items())
            lines.append(f"  {choice.arm}: {values} (CTR {choice.ctr:.3%})")
            lines += [
                f"    warning: {_name(path)} lies at the edge of what was tried; try further" for path in choice.edges
            ]
        return "\n".join(lines)


def _seeds(seeds: Sequence[int]) -> str:
    return f"seed {seeds[0]}, which is" if len(seeds) == 1 else f"seeds {seeds[0]} to {seeds[-1]}, which are"


def _name(path: str) -> str:
    return Knob(path, ()).name


def parse_tuning(texts: Sequence[str], budget: int | None, n_seeds: int) -> TuningPlan:
    """A plan from `arms.*.PATH=LO..HI[:log]` or `arms.*.PATH=VALUE,VALUE`, once a knob. budget: trials an arm; None for every
    combination of values. Raises ConfigError.

    One range is tried at even distances, both ends included; several together at the points of a Halton sequence.

    >>> plan = parse_tuning(["arms.*.learner.optimizer.lr=0.01..1:log"], 3, n_seeds=2)
    >>> [list(trial.values()) for trial in plan.trials], list(plan.seeds)
    ([[0.01], [0.1], [1.0]], [1000001, 1000002])
    """
    knobs = [(text, *_parsed(text)) for text in texts]
    if len({path for _, path, _ in knobs}) < len(knobs):
        raise ConfigError("--tune: a knob is given twice; one --tune a knob")
    seeds = range(FIRST_SEED, FIRST_SEED + n_seeds)
    if not any(isinstance(values, Range) for _, _, values in knobs):
        every = list(points([Knob(path, tuple(values)) for _, path, values in knobs]))
        if len(every) > (MOST_TRIALS if budget is None else budget):
            raise ConfigError(
                f"--budget: got {budget}, the values given to --tune make {len(every)} trials; give them all or fewer"
            )
        return TuningPlan(every, seeds)
    if budget is None or not 2 <= budget <= MOST_TRIALS:
        raise ConfigError(f"--budget: got {budget}, a range wants 2 to {MOST_TRIALS} trials an arm")
    places = np.linspace(0, 1, budget)[:, None]
    if len(knobs) > 1:
        places = qmc.Halton(len(knobs), scramble=False).random(budget + 1)[1:]  # its first point is a corner
    columns = [
        values.at(column) if isinstance(values, Range) else [values[int(place * len(values))] for place in column]
        for (_, _, values), column in zip(knobs, places.T, strict=True)
    ]
    paths = [path for _, path, _ in knobs]
    return TuningPlan([dict(zip(paths, trial, strict=True)) for trial in zip(*columns, strict=True)], seeds)


def _parsed(text: str) -> tuple[str, Range | Sequence[Any]]:
    path, values = parse_range(text, "--tune")
    if not path.startswith(EVERY_ARM):
        raise ConfigError(f"--tune {text}: must be a knob of every arm, {EVERY_ARM}…, for all have the same budget")
    return path, values


def tune(
    raw: Mapping[str, Any],
    plan: TuningPlan,
    reported: Sequence[int],
    folder: StudyFolder,
    make_all: MakeAll,
    at_once: int,
) -> Tuned:
    """Try what the folder lacks; the scenario with every arm's best. Writes tuned.csv and tuned.yaml.

    A trial in which a model diverges is lost. reported: the study's own seeds. Raises ConfigError where they overlap, and for a
    value that is none; CellsFailed where an arm has no trial left, or one failed for another reason.
    """
    if both := {*plan.seeds} & {*reported}:
        raise ConfigError(f"--first-seed: seed {min(both)} is one that arms are tuned on; report others")
    control, *others = (arm.name for arm in parse_scenario(raw).arms)
    tuned, choices, tables = dict(raw), list[Choice](), list[pd.DataFrame]()
    for of in ([control], others):
        cells = {arm: _cells(tuned, arm, plan) for arm in of}
        every = [cell for mine in cells.values() for cell in mine.values()]
        failures = make_all(batches_of([cell for cell in every if not folder.has(cell.key)], at_once), len(every))
        if lost := [failure for failure in failures if not failure.is_mistake]:
            raise CellsFailed(lost, len(every))
        for arm, mine in cells.items():
            ctrs = _ctrs(arm, control, mine, plan, folder)
            means = ctrs.mean(axis=1)  # NaN where a model diverged in one of the worlds
            if np.isnan(means).all():
                keys = {cell.key for cell in mine.values()}
                raise CellsFailed([failure for failure in failures if failure.key in keys], len(mine))
            best = int(np.nanargmax(means))
            choices.append(Choice(arm, plan.trials[best], float(means[best]), _edges(plan.trials, best)))
            tables.append(_table(arm, plan, ctrs, best))
            tuned = with_values(tuned, _of_arm(arm, plan.trials[best]), "--tune")
    table = pd.concat(tables, ignore_index=True)
    write_atomic(folder.path / "tuned.csv", table.to_csv(index=False).encode())
    write_atomic(folder.path / "tuned.yaml", as_yaml(tuned).encode())
    return Tuned(plan, tuned, choices, table)


def _cells(raw: Mapping[str, Any], arm: str, plan: TuningPlan) -> dict[tuple[int, int], LaunchCell]:
    """(trial, seed) → its cell."""
    return {(i, seed): _cell(raw, arm, trial, seed) for i, trial in enumerate(plan.trials) for seed in plan.seeds}


def _ctrs(
    arm: str, control: str, cells: Mapping[tuple[int, int], LaunchCell], plan: TuningPlan, folder: StudyFolder
) -> np.ndarray:
    """The arm's true CTR, [trials, seeds]; NaN where the cell failed."""
    found = np.full((len(plan.trials), len(plan.seeds)), math.nan)
    for (trial, seed), cell in cells.items():
        if folder.has(cell.key):
            of_arm = {row["arm"]: row["ctr"] for row in measured(folder.rows(cell.key), control)}
            found[trial, plan.seeds.index(seed)] = of_arm[arm]
    return found


def _table(arm: str, plan: TuningPlan, ctrs: np.ndarray, best: int) -> pd.DataFrame:
    rows = []
    for i, trial in enumerate(plan.trials):
        values = {_name(path): shown_value(value) for path, value in trial.items()}
        for seed, ctr in zip(plan.seeds, ctrs[i].tolist(), strict=True):
            rows.append({"arm": arm, **values, "seed": seed, "ctr": ctr, "chosen": i == best})
    return pd.DataFrame(rows)


def _of_arm(arm: str, trial: Mapping[str, Any]) -> dict[str, Any]:
    return {f"arms.{arm}.{path.removeprefix(EVERY_ARM)}": value for path, value in trial.items()}


def _cell(raw: Mapping[str, Any], arm: str, trial: Mapping[str, Any], seed: int) -> LaunchCell:
    """The arm with these values, launched beside the control, or for itself where it is the control."""
    values = _of_arm(arm, trial)
    said = ",".join(f"{path}={shown_value(value)}" for path, value in values.items())
    whole = as_mapping(parse_scenario(with_values(raw, values, "--tune"), lambda _: f"--tune {said}"))
    control, *others = whole["arms"]
    kept = [control, *(other for other in others if other["name"] == arm)]
    alone = {**whole, "arms": [{"name": one["name"], "learner": one["learner"]} for one in kept]}
    return LaunchCell(safe_key(f"tune-seed{seed}-{said}"), in_world(alone, seed))


def _edges(trials: Sequence[Mapping[str, Any]], best: int) -> list[str]:
    found = []
    for path, value in trials[best].items():
        tried = [trial[path] for trial in trials]
        are_numbers = all(isinstance(one, int | float) and not isinstance(one, bool) for one in tried)
        # Of two values both are edges.
        if are_numbers and len({*tried}) > 2 and value in (min(tried), max(tried)):
            found.append(path)
    return found
