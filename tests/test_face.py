"""The face of the packages: what a user's program imports is there, is little, and is cheap until it is used."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import reloop_stream
import simulator
from reloop_stream.errors import ConfigError, EventError, LogError, ReloopError, SnapshotError
from simulator import errors
from tests.rooms import ROOT, modules

PAGES = [*sorted((ROOT / "docs").glob("*.md")), *ROOT.glob("*.md"), *sorted((ROOT / "examples").iterdir())]
HEAVY = ("torch", "numba", "river", "kafka", "pandas", "pyarrow", "scipy", "matplotlib", "numpy", "pydantic")


@pytest.mark.parametrize("package", [reloop_stream, simulator], ids=lambda package: package.__name__)
def test_every_name_of_the_face_is_there_and_is_the_only_face(package: object) -> None:
    names = package.__all__  # type: ignore[attr-defined]
    assert len(names) <= 32 and set(names) == set(package._HOME_OF)  # type: ignore[attr-defined]
    for name in names:
        assert getattr(package, name).__name__ == name
        assert name in dir(package)
    with pytest.raises(AttributeError, match="has no attribute 'Scoerr'"):
        package.Scoerr  # type: ignore[attr-defined]  # noqa: B018


def imported_names(text: str) -> set[tuple[str, str]]:
    """(package, name) of everything that a text imports from the two roots."""
    found = set()
    for package, names in re.findall(
        r"^(?:>>> )?from (reloop_stream|simulator) import (\([^)]*\)|.*)$", text, re.MULTILINE
    ):
        found |= {(package, name.split(" as ")[0].strip()) for name in re.sub(r"[()]|#.*", "", names).split(",")}
    return {(package, name) for package, name in found if name}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_the_pages_import_from_the_roots_is_on_their_faces(page: Path) -> None:
    for package, name in imported_names(page.read_text(encoding="utf-8")):
        if f"{package}.{name}" not in modules():
            assert name in importlib.import_module(package).__all__, f"{package}.{name}"


def loaded_by(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_importing_the_roots_loads_nothing_else() -> None:
    loaded = loaded_by("import reloop_stream, simulator")
    assert {name for name in loaded if name.split(".")[0] in ("reloop_stream", "simulator")} == {
        "reloop_stream",
        "simulator",
    }
    assert loaded.isdisjoint(HEAVY)


def test_torch_and_numba_are_loaded_by_what_needs_them_alone() -> None:
    light = [name for name in reloop_stream.__all__ if name != "CtrModel"]
    assert loaded_by(f"from reloop_stream import {', '.join(light)}").isdisjoint(
        {"torch", "numba", "river", "kafka", "pandas", "scipy", "matplotlib"}
    )


def test_errors_are_one_family() -> None:
    assert all(issubclass(kind, ReloopError) for kind in (ConfigError, EventError, SnapshotError, LogError))
    assert all(issubclass(getattr(errors, name), ReloopError) for name in errors.__all__ if name != "MISTAKES")
    strays = []
    for module, path in modules().items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and node.name.endswith("Error"):
                kind = getattr(importlib.import_module(module), node.name)
                strays += [] if issubclass(kind, ReloopError) else [f"{module}.{node.name}"]
    assert strays == []
