"""A Ray cluster of several nodes does what this machine does, also where a node dies."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.simulator.runs import lab, start
from tests.simulator.studies.small import small_file


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


@pytest.mark.slow
def test_a_cluster_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    process = start(
        "sweep", small_file(tmp_path), "--grid", "world.ctr=0.1", "--engine", "ray", "--out", tmp_path / "out"
    )
    _, told = process.communicate(timeout=120)
    assert process.returncode == 2 and "error: --ray-address auto: no cluster answers there" in told
