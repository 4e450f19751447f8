"""The scenarios that come with the project, wherever it is installed."""

from __future__ import annotations

import difflib
import json
from pathlib import Path

from simulator.errors import ScenarioError
from simulator.scenario.load import json_schema

__all__ = ["bundled_scenarios", "copy_scenario", "find_scenario"]

PACKAGE = Path(__file__).parent.parent
# In an installed package they lie within it; in a checkout beside it.
FOLDERS = (PACKAGE / "scenarios", PACKAGE.parent / "scenarios")
SCHEMA = "schema.json"


def _folder() -> Path:
    """Raises ScenarioError where they have not come along."""
    for folder in FOLDERS:
        if (folder / SCHEMA).is_file():
            return folder
    raise ScenarioError(f"{FOLDERS[0]}: no such folder: the scenarios have not come along; install the package again")


def bundled_scenarios() -> dict[str, str]:
    """Name → what it shows, from the first sentence of the file's own comment."""
    found = {}
    for path in sorted(_folder().glob("*.yaml"), key=lambda path: path.stem):
        lines = path.read_text(encoding="utf-8").splitlines()
        comment = [line.removeprefix("#").strip() for line in lines if line.startswith("# ") and "schema=" not in line]
        found[path.stem] = " ".join(comment).split(". ")[0].rstrip(".")
    return found


def find_scenario(name: str) -> Path:
    """The file at a path, or else the scenario of that name. Raises ScenarioError naming those that there are."""
    path = Path(name)
    # A folder may have the name of a scenario: that of its runs, say.
    if (path.exists() and not path.is_dir()) or path.suffix in (".yaml", ".yml"):
        return path
    known = bundled_scenarios()
    if name in known:
        return _folder() / f"{name}.yaml"
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    hint = f"did you mean {near[0]!r}?" if near else f"the scenarios are {', '.join(known)}"
    raise ScenarioError(f"{name}: is no file, and no scenario that comes with the project; {hint}")


def copy_scenario(name: str, to: Path) -> Path:
    """Write a scenario to a file that is not there yet, and the schema beside it; the path.

    Raises ScenarioError: no such scenario, a file in the way, a folder that cannot be written.
    """
    text = find_scenario(name).read_text(encoding="utf-8")
    if to.exists():
        raise ScenarioError(f"{to}: exists; choose another file with --to")
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_text(text, encoding="utf-8")
        (to.parent / SCHEMA).write_text(json.dumps(json_schema(), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise ScenarioError(f"{to}: cannot be written: {error.strerror or error}") from None
    return to
