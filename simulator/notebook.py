"""The laboratory from Python: run a scenario, and have its run folder in hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reloop_stream.runtime.stopping import stop_on_signals
from simulator import scenario as scenarios
from simulator.lab.run import start_run
from simulator.readout import read_out
from simulator.readout.view import RunView, open_run
from simulator.scenario import Scenario, find_scenario

__all__ = ["load_scenario", "open_run", "run"]


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
    if isinstance(scenario, Scenario):
        if set:
            raise TypeError(
                "set: is for a scenario by its name or file; load_scenario(..., set=...) gives one that has it"
            )
    else:
        scenario = load_scenario(scenario, set)
    said = f"simulator.run({scenario.name!r}, set={dict(set or {})!r})"
    with stop_on_signals("saving what was done") as stop:
        folder = start_run(
            scenario, None if out is None else Path(out), command=said, workers=workers, quiet=quiet, should_stop=stop
        )
    return RunView(read_out(folder.path))
