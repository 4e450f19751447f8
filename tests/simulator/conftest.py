"""What several tests here share: runs that they compare theirs with, and a cluster."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

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


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Of Ray: a head that does no work, and three nodes of a processor each."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from ray.cluster_utils import Cluster

        found = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        for _ in range(3):
            found.add_node(num_cpus=1)
        found.wait_for_nodes()
        yield found
        found.shutdown()
