"""Runs that many tests compare theirs with are made once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from simulator.lab.run import start_run
from simulator.scenario import load_scenario
from tests.conftest import TINY


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """The folder of an uninterrupted run of the small scenario with these overrides: one worker, the embedded log."""
    made: dict[tuple[str, ...], Path] = {}
    scenario = tmp_path_factory.mktemp("scenario") / "tiny.yaml"
    scenario.write_text(TINY, encoding="utf-8")

    def run(*overrides: str) -> Path:
        if overrides not in made:
            made[overrides] = tmp_path_factory.mktemp("whole") / "run"
            start_run(load_scenario(scenario, overrides), made[overrides], command="test", workers=1, quiet=True)
        return made[overrides]

    return run
