"""The rooms of the house, from the bottom up, and who imports whom: read from the code, for the test and the picture."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

__all__ = ["LADDER", "ONLY", "ROOT", "Import", "imports", "modules", "room_of"]

ROOT = Path(__file__).parent.parent

# A room imports only rooms that stand above it in this list. A package is a room, and so is a module that lies in none.
LADDER = (
    "reloop_stream.errors",
    "reloop_stream.clock",
    "reloop_stream.runtime",
    "reloop_stream.plugins",
    "reloop_stream.metric_kernels",
    "reloop_stream.metrics",
    "reloop_stream.log",
    "reloop_stream.events",
    "reloop_stream.codec",
    "reloop_stream.config",
    "reloop_stream.state",
    "reloop_stream.features",
    "reloop_stream.losses",
    "reloop_stream.models",
    "reloop_stream.learners",
    "reloop_stream.stream",
    "reloop_stream.updating",
    "reloop_stream.serving",
    "reloop_stream.river",
    "reloop_stream.worker",
    "reloop_stream.service",
    "reloop_stream.commands",
    "reloop_stream.testing",
    "reloop_stream",  # its face, __init__.py, and its command line
    "simulator.errors",
    "simulator.world",
    "simulator.datasets",
    "simulator.scenario",
    "simulator.experiment",
    "simulator.run_folder",
    "simulator.serving",
    "simulator.replay",
    "simulator.lab",
    "simulator.readout",
    "simulator.studies",
    "simulator.paper",
    "simulator.notebook",
    "simulator.commands",
    "simulator",
)


# What the order alone does not say: rooms that import these rooms and no others.
ONLY = {
    "reloop_stream.serving": {
        "reloop_stream.config",
        "reloop_stream.errors",
        "reloop_stream.events",
        "reloop_stream.features",
        "reloop_stream.learners",
        "reloop_stream.log",
        "reloop_stream.state",
    },
    "simulator.world": {"reloop_stream.runtime"},  # what compiles
    "simulator.readout": {"simulator.run_folder"},
}


class Import(NamedTuple):
    """A module of this project imports another one: wherever in the file, and for whatever reason."""

    importer: str
    imported: str
    line: int


def modules() -> dict[str, Path]:
    """Every module of the two packages, by its dotted name; a package is its __init__.py."""
    found = {}
    for package in ("reloop_stream", "simulator"):
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def room_of(module: str) -> str:
    """The room that a module lies in: the longest name on the ladder that it begins with."""
    rooms = [room for room in LADDER if module == room or module.startswith(f"{room}.")]
    return max(rooms, key=len)


def imports() -> Iterator[Import]:
    """Every import of one module of this project by another."""
    known = modules()
    for importer, path in known.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                continue
            for name in names:
                # `from package import thing`: the thing may be a module, or lie in the package's own file.
                target = name if name in known else name.rpartition(".")[0]
                if target in known and target != importer:
                    yield Import(importer, target, node.lineno)
