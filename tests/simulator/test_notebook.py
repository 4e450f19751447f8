"""The laboratory in a notebook: run, look, ask, draw; and a run that goes wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell
from matplotlib.figure import Figure

import simulator
from simulator.errors import RunFailed, RunFolderError, ScenarioError
from simulator.lab.run import start_run
from simulator.run_folder.columns import DAILY_COLUMNS, TRUTH_COLUMNS, USERS_COLUMNS

pytestmark = pytest.mark.slow

# What tests/conftest.py's small scenario has over one that comes along.
SMALL = {
    "phases": {"warmup_days": 1, "aa_days": 1, "ab_days": 1},
    "tick_minutes": 120,
    "world.users.n": 300,
    "world.items.live": 120,
    "world.candidates.k": 12,
}


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InteractiveShell]:
    """A notebook's interpreter, in a folder of its own."""
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(tmp_path_factory.mktemp("notebook"))
        patched.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
        shell = InteractiveShell()
        shell.user_ns["small"] = SMALL
        yield shell


def cell(shell: InteractiveShell, source: str) -> tuple[Any, dict[str, Any]]:
    """Execute a cell: its last value, and how the notebook would show it, by MIME type."""
    done = shell.run_cell(source)
    done.raise_error()
    assert shell.display_formatter is not None
    shown, _ = shell.display_formatter.format(done.result)
    return done.result, shown


def test_a_notebook_from_its_first_cell_to_its_last(notebook: InteractiveShell) -> None:
    r, shown = cell(
        notebook,
        'from simulator import load_scenario, open_run, run\nr = run("quickstart", set=small, out="r", quiet=True)\nr',
    )
    assert isinstance(r, simulator.RunView) and r.status == "finished"
    assert (
        "quickstart" in shown["text/html"] and "CUPED" in shown["text/html"] and "truth of reloop" in shown["text/html"]
    )
    assert "reloop" in shown["text/plain"]

    daily, shown = cell(notebook, "r.daily")
    assert isinstance(daily, pd.DataFrame) and tuple(daily.columns) == DAILY_COLUMNS and len(daily) == 3 * 2
    assert "<table" in shown["text/html"]
    assert daily["ctr"].equals(daily["clicks"] / daily["exposures"])

    users, _ = cell(notebook, "r.users")
    assert tuple(users.columns) == USERS_COLUMNS and users["clicks"].sum() == daily["clicks"].sum()
    truth, _ = cell(notebook, "r.truth")
    assert tuple(truth.columns) == TRUTH_COLUMNS and set(truth["arm"]) == {"control", "reloop"}

    uplift, _ = cell(notebook, 'r.uplift.loc["reloop"]')
    written = json.loads(Path("r/results.json").read_text())["uplift"]["reloop"]
    assert {name: row["relative"] for name, row in uplift.iterrows()} == {
        name: written[name]["relative"] for name in ("raw", "ab_minus_aa", "cuped")
    }

    figure, shown = cell(notebook, 'r.plot("uplift")')
    assert isinstance(figure, Figure) and shown["image/png"][:8] == b"\x89PNG\r\n\x1a\n"
    again, _ = cell(notebook, 'open_run("r").daily')
    assert again.equals(daily)


def test_overrides_make_another_run_and_the_same_ones_the_same(tmp_path: Path) -> None:
    def ctr(name: str, **changes: Any) -> list[float]:
        settings = {**SMALL, **{key.replace("__", "."): value for key, value in changes.items()}}
        view = simulator.run("quickstart", set=settings, out=tmp_path / name, workers=1, quiet=True)
        found: list[float] = view.daily["ctr"].tolist()
        return found

    assert ctr("a") == ctr("b") != ctr("c", seed__world=2)


def test_a_scenario_in_hand_can_be_run_and_is_set_when_it_is_loaded(tmp_path: Path) -> None:
    scenario = simulator.load_scenario(
        "quickstart", set={**SMALL, "phases": {"warmup_days": 1, "aa_days": 0, "ab_days": 0}}
    )
    assert simulator.run(scenario, out=tmp_path / "run", quiet=True).daily["phase"].tolist() == ["warmup"] * 2
    with pytest.raises(TypeError, match=r"load_scenario\(\.\.\., set="):
        simulator.run(scenario, set={"seed.world": 2})


def test_a_mistake_is_an_error_before_there_is_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="did you mean `slate`"):
        simulator.run("quickstart", set={"serving.slat": 3}, out=tmp_path / "run")
    with pytest.raises(ScenarioError, match="did you mean 'quickstart'"):
        simulator.run("quickstrat", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(RunFolderError, match="is no run folder"):
        simulator.open_run(tmp_path)


def test_a_run_that_was_stopped_is_opened_with_the_days_that_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"

    def stopped_after_a_day(*arguments: Any, **settings: Any) -> Any:
        return start_run(*arguments, **(settings | {"should_stop": lambda: (out / "daily.csv").exists()}))

    monkeypatch.setattr("simulator.notebook.start_run", stopped_after_a_day)
    with pytest.raises(RunFailed, match="stopped") as caught:
        simulator.run("quickstart", set={**SMALL, "checkpoint_every_hours": 4}, out=out, workers=1, quiet=True)
    view = simulator.open_run(caught.value.path)
    assert view.status == "interrupted" and view.uplift.isna().all(axis=None) and "no uplift yet" in repr(view)
    assert 1 <= view.daily["day"].nunique() < 3
    assert "no A/B day yet" in view._repr_html_() and view.plots == ["ctr", "quality"]
