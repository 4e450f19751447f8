"""The laboratory from Python: run a scenario, and have its run folder in hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from reloop_stream.runtime.stopping import stop_on_signals
from simulator import scenario as scenarios
from simulator.lab.run import start_run
from simulator.readout import compare as comparing
from simulator.readout import listing, read_out
from simulator.readout.compare_view import CompareView
from simulator.readout.view import RunView, open_run
from simulator.scenario import Scenario, find_scenario
from simulator.studies.power import PILOT_USERS, PowerPlan, plan_power

__all__ = ["compare", "list_runs", "load_scenario", "open_run", "power", "run"]


def load_scenario(scenario: str | Path, set: Mapping[str, Any] | None = None) -> Scenario:
    """A scenario from a YAML file, or by the name of one that comes along, with other values at some paths.

    Raises ScenarioError, ConfigError: a line a mistake.

    >>> load_scenario("quickstart", set={"seed.world": 2, "arms.1.learner.loss.alpha": 0.5}).seed.world
    2
    """
    return scenarios.load_scenario(find_scenario(str(scenario)), set or {})


def run(
    scenario: str | Path | Scenario,
    set: Mapping[str, Any] | None = None,
    *,
    out: str | Path | None = None,
    workers: int | None = None,
    quiet: bool = False,
) -> RunView:
    """Run a scenario to its end, as `python -m simulator run` does, and read the folder out.

    set: other values at some paths of the scenario. out: the run folder, runs/<scenario>-<time>-<hash> where it is left
    out. workers: processes; by default one an arm where there are cores. quiet: no progress on stderr.

    Raises ScenarioError, DataError and RunFolderError for what a user can put right, before there is a folder; RunFailed
    when it stopped half-way, by Ctrl-C say: what was done is then kept, `open_run` shows it, and
    `python -m simulator resume` goes on with it.
    """
    scenario = _loaded(scenario, set)
    said = f"simulator.run({scenario.name!r}, set={dict(set or {})!r})"
    with stop_on_signals("saving what was done") as stop:
        folder = start_run(
            scenario, None if out is None else Path(out), command=said, workers=workers, quiet=quiet, should_stop=stop
        )
    return RunView(read_out(folder.path))


def power(
    scenario: str | Path | Scenario,
    set: Mapping[str, Any] | None = None,
    *,
    effect: float = 0.01,
    power: float = 0.8,
    days: int | None = None,
    users: int | None = None,
    pilot_users: int = PILOT_USERS,
    quiet: bool = False,
) -> PowerPlan:
    """How many users and A/B days an uplift in CTR needs, from a pilot of the scenario's world, as the command says it.

    effect: the relative uplift to find, 0.01 for 1%. power: the chance to find it. days, users: of the test, where they are
    not the scenario's. pilot_users: how many the pilot has at most. Raises ScenarioError; KeyboardInterrupt.
    """
    with stop_on_signals("ending the pilot") as stop:
        return plan_power(
            _loaded(scenario, set), effect=effect, power=power, days=days, users=users, pilot_users=pilot_users,
            quiet=quiet, should_stop=stop,
        )  # fmt: skip


def list_runs(folder: str | Path = "runs") -> pd.DataFrame:
    """The runs that lie in a folder, the newest first: a row a run and treatment.

    Columns: run, status, scenario, kind, days (done), of_days, begun, wall_s, treatment, over, estimate, lo, hi, p (of the
    uplift in CTR by the run's headline; of a replay, of the difference in log loss), truth, note, path. Raises RunFolderError.
    """
    return pd.DataFrame(
        [row for run in listing.list_runs(Path(folder)) for row in run.rows], columns=list(listing.LIST_COLUMNS)
    )


def compare(*runs: str | Path | RunView, baseline: str | None = None) -> CompareView:
    """Runs side by side: their folders, or views of them. baseline: the arm to compare the others with, in every folder; each
    one's first where it is None. Raises RunFolderError."""
    found = [run.results if isinstance(run, RunView) else Path(run) for run in runs]
    return CompareView(comparing.compare(found, baseline))


def _loaded(scenario: str | Path | Scenario, set: Mapping[str, Any] | None) -> Scenario:
    if not isinstance(scenario, Scenario):
        return load_scenario(scenario, set)
    if set:
        raise TypeError("set: is for a scenario by its name or file; load_scenario(..., set=...) gives one that has it")
    return scenario
