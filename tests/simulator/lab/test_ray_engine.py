"""A run on the nodes of a Ray cluster, with a real broker between them: what one machine finds, also where a node dies."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reloop_stream.runtime.exits import INTERRUPTED
from reloop_stream.testing.fixtures import start_broker
from simulator.experiment.stages import Stage
from simulator.lab.place import RunPlace
from simulator.lab.ray_engine import _Actor
from tests.processes import wait_until
from tests.simulator.ray_nodes import ray_nodes
from tests.simulator.runs import lab, outcome, start


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with ray_nodes() as found:
        yield found


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    broker = start_broker(tmp_path_factory.mktemp("broker") / "broker")
    yield broker.address
    broker.stop()


def begun(tiny: Path, out: Path, cluster: Any, log: str) -> subprocess.Popen[str]:
    """The small scenario in three processes on the cluster, once it has its first checkpoint."""
    on_ray = "--engine", "ray", "--ray-address", cluster.address, "--workers", 3
    process = start("run", tiny, "--out", out, "--log", log, *on_ray, "--quiet")
    wait_until(lambda: list((out / "checkpoints").glob("aa.worker.*")), process)
    return process


@pytest.mark.slow
@pytest.mark.kafka
def test_a_run_waits_for_a_node_in_the_place_of_one_that_is_killed_and_ends_the_same(
    cluster: Any, address: str, tiny: Path, tmp_path: Path, whole: Callable[..., Path]
) -> None:
    process = begun(tiny, tmp_path / "killed", cluster, address)
    cluster.remove_node(cluster.list_all_nodes()[-1], allow_graceful=False)
    time.sleep(3)
    assert process.poll() is None, process.communicate()[1]
    cluster.add_node(num_cpus=1)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert "a process on the cluster is gone" in said and "Traceback" not in said
    assert outcome(tmp_path / "killed") == outcome(whole())
    assert not list((tmp_path / "killed").glob(".seen-by-all-*"))


@pytest.mark.slow
@pytest.mark.kafka
def test_ctrl_c_saves_what_was_done_on_the_cluster_and_this_machine_goes_on_with_it(
    cluster: Any, address: str, tiny: Path, tmp_path: Path, whole: Callable[..., Path]
) -> None:
    process = begun(tiny, tmp_path / "stopped", cluster, address)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == INTERRUPTED and "stopped; go on with" in said, said
    assert lab("resume", tmp_path / "stopped", "--workers", 1, "--quiet").code == 0
    assert outcome(tmp_path / "stopped") == outcome(whole())


def test_a_log_of_one_machine_is_refused_and_the_remedy_named(tiny: Path, tmp_path: Path) -> None:
    done = lab("run", tiny, "--out", tmp_path / "run", "--engine", "ray")
    assert done.code == 2 and done.err.startswith("error: --engine ray: the embedded log lies in files of one machine")
    assert "--log kafka://HOST:PORT" in done.err and not (tmp_path / "run").exists()


def test_a_node_that_does_not_see_the_run_folder_says_which_and_what_to_do(tmp_path: Path) -> None:
    actor = _Actor({}, RunPlace(tmp_path, "kafka://x:1", "run"), tmp_path / "token of another machine")
    actor.work(Stage("aa", 0, 1, (), ()), None, ((), ()))
    ((how, kind, message, _, is_mistake),) = actor.news()
    assert (how, kind, is_mistake) == ("failed", "RunFolderError", True)
    assert f"does not see the run folder {tmp_path}" in message and "--out" in message
