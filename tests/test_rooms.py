"""The house: a room imports only what stands below it, wherever in a file the import stands."""

from __future__ import annotations

import subprocess
import sys
from graphlib import TopologicalSorter

import pytest

from tests.picture import PICTURE, picture
from tests.rooms import LADDER, ONLY, imports, modules, room_of

IMPORTS = list(imports())


def test_every_module_lies_in_a_room_and_every_room_is_there() -> None:
    assert {room_of(name) for name in modules()} == set(LADDER)


def test_a_room_imports_only_rooms_that_stand_below_it() -> None:
    height = {room: i for i, room in enumerate(LADDER)}
    upwards = [
        one for one in IMPORTS
        if room_of(one.importer) != room_of(one.imported) and height[room_of(one.imported)] > height[room_of(one.importer)]
    ]  # fmt: skip
    assert upwards == []


@pytest.mark.parametrize("room", ONLY)
def test_a_room_that_is_to_know_little_does(room: str) -> None:
    found = {room_of(one.imported) for one in IMPORTS if room_of(one.importer) == room} - {room}
    assert found == ONLY[room]


def test_the_picture_of_the_rooms_is_that_of_the_code() -> None:
    # When this fails: python -m tests.picture
    assert PICTURE.read_text(encoding="utf-8") == picture()


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph: dict[str, set[str]] = {name: set() for name in modules()}
    for one in IMPORTS:
        graph[one.importer].add(one.imported)
    list(TopologicalSorter(graph).static_order())  # raises CycleError


def loaded_by(code: str) -> set[str]:
    """The modules that a fresh process has loaded once it has run the code."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_a_process_that_serves_loads_nothing_that_learns_from_a_stream() -> None:
    loaded = loaded_by("from reloop_stream.serving.scorer import Scorer")
    rooms = ("stream", "updating", "worker", "service", "codec")
    assert {name for name in loaded if name.split(".")[:2] in [["reloop_stream", room] for room in rooms]} == set()


def test_a_readout_loads_no_world_and_no_learner() -> None:
    loaded = loaded_by("import simulator.readout.compute, simulator.readout.plots.draw, simulator.readout.report.write")
    strange = ("simulator.world", "simulator.lab", "simulator.serving", "simulator.scenario", "reloop_stream.learners")
    assert {name for name in loaded if name.startswith(strange)} == set() and "torch" not in loaded
