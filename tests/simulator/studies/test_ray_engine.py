"""A Ray cluster of several nodes does what this machine does, also where a node dies."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.simulator.ray_nodes import ray_nodes
from tests.simulator.runs import lab, start
from tests.simulator.studies.small import small_file


@pytest.fixture
def cluster() -> Iterator[Any]:
    with ray_nodes() as found:
        yield found


@pytest.mark.slow
def test_a_node_that_is_killed_changes_nothing(cluster: Any, tmp_path: Path) -> None:
    said = ["replicate", small_file(tmp_path), "--seeds", 9, "--quiet", "--out"]
    on_ray = tmp_path / "ray"
    process = start(*said, on_ray, "--engine", "ray", "--ray-address", cluster.address)
    until = time.monotonic() + 180
    while not list(on_ray.glob("cells/*.json")) and process.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    assert process.poll() is None, process.communicate()[1]
    victim = cluster.list_all_nodes()[-1]
    assert victim.any_processes_alive()
    cluster.remove_node(victim, allow_graceful=False)
    assert len(list(on_ray.glob("cells/*.json"))) < 15, "all was done before the node died"
    _, told = process.communicate(timeout=300)
    assert process.returncode == 0, told
    here = lab(*said, tmp_path / "here", "--jobs", 1)
    assert here.code == 0, here.err
    assert (on_ray / "replicate.csv").read_bytes() == (tmp_path / "here" / "replicate.csv").read_bytes()


def test_without_ray_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = small_file(tmp_path)
    monkeypatch.setitem(sys.modules, "ray", None)
    said = ["sweep", path, "--grid", "seed.salt=1,2", "--engine", "ray", "--out", tmp_path / "out"]
    done = lab(*said)
    assert (
        done.code == 2 and done.err == "error: --engine ray: Ray is not installed; pip install 'reloop-stream[ray]'\n"
    )
    assert lab(*said, "--jobs", 2).err.startswith("error: --jobs: got 2, is for --engine local")


def test_a_cluster_that_is_not_there_is_a_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    def find_none(**asked: Any) -> None:  # Ray itself would find one that another test has made on this machine
        assert asked["address"] == "auto"
        raise ConnectionError("Could not find any running Ray instance.\nStart one.")

    monkeypatch.setattr(ray, "init", find_none)
    done = lab("sweep", small_file(tmp_path), "--grid", "world.ctr=0.1", "--engine", "ray", "--out", tmp_path / "out")
    assert done.code == 2 and done.err == (
        "error: --ray-address auto: no cluster answers there (Could not find any running Ray instance.); "
        "`ray start --head` begins one\n"
    )
