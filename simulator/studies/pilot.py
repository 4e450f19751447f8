"""A short pilot of a scenario's world: its control alone, for everyone, before anything is tested."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from reloop_stream.errors import ReloopError
from simulator.errors import RunFailed, ScenarioError
from simulator.lab.run import start_run
from simulator.run_folder.reader import read_run
from simulator.scenario import Scenario, parse_scenario

__all__ = ["pilot_of", "run_pilot"]


def pilot_of(scenario: Scenario, users: int, days: int) -> Scenario:
    """The same world with as many users, its control for all of them, and `days` days of A/B; no truth is computed.

    Raises ScenarioError for a replay.
    """
    if scenario.is_replay:
        raise ScenarioError(
            f"{scenario.name}: what a replay shows does not depend on the arm, so there is no uplift to find"
        )
    raw: dict[str, Any] = scenario.model_dump(mode="json", exclude_none=True)
    world = raw.get("world", {})
    raw["world"] = {**world, "users": {**world.get("users", {}), "n": users}}
    raw["phases"]["ab_days"] = days
    raw["arms"] = [{**raw["arms"][0], "share": 1.0}]
    raw["experiment"] = {**raw["experiment"], "data": "own"}
    raw["truth"] = {"experiment": False, "launch": False}
    raw["log"] = {"url": "embedded", "encoding": "arrow"}
    return parse_scenario(raw)


def run_pilot(
    scenario: Scenario, *, command: str, quiet: bool = False, should_stop: Callable[[], bool] = lambda: False
) -> pa.Table:
    """Run a pilot and give its table of users, as users.parquet has it; nothing is kept on disk.

    Raises KeyboardInterrupt where it is stopped, ReloopError where it fails.
    """
    with tempfile.TemporaryDirectory(prefix="reloop-pilot-", ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "run"
        try:
            start_run(scenario, path, command=command, workers=1, quiet=quiet, should_stop=should_stop)
        except RunFailed as failure:
            if failure.kind == "Stopped":
                raise KeyboardInterrupt from None
            # Its own message tells where to go on, and that is gone.
            raise ReloopError(f"the pilot failed: {failure.__cause__ or failure.kind}") from failure
        users = read_run(path).users
    assert users is not None  # a finished run has them
    return users
