"""check, schema, scenarios: what a scenario says, and those that come along."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from simulator.scenario import find_scenario
from tests.rooms import ROOT
from tests.simulator.runs import lab

NAMES = sorted(path.stem for path in (ROOT / "scenarios").glob("*.yaml"))


def test_check_prints_a_scenario_that_checks_again(tiny: Path, tmp_path: Path) -> None:
    printed = lab("check", tiny)
    again = tmp_path / "again.yaml"
    again.write_text(printed.out)
    assert printed.code == 0 and lab("check", again).out == printed.out


def test_check_warns_of_what_is_likely_to_mislead(tiny: Path) -> None:
    done = lab("check", tiny, "--set", "phases.aa_days=0")
    assert done.code == 0 and "warning: there is no A/A period" in done.err


def test_schema_is_json_schema() -> None:
    schema = json.loads(lab("schema").out)
    assert schema["$schema"].startswith("https://json-schema.org/") and "serving" in schema["properties"]
    assert schema["title"] == "ReLoop Stream scenario"


def test_the_scenarios_that_come_along_are_listed_with_a_line_each() -> None:
    lines = lab("scenarios").out.splitlines()
    assert [line.split()[0] for line in lines] == NAMES
    assert all(len(line.split()) > 5 for line in lines)


@pytest.mark.parametrize("name", NAMES)
def test_a_scenario_is_copied_to_start_from(name: str, tmp_path: Path) -> None:
    to = tmp_path / "new" / "mine.yaml"
    done = lab("scenarios", "copy", name, "--to", to)
    assert (done.code, done.out) == (0, f"{to}\n")
    assert yaml.safe_load(to.read_text()) == yaml.safe_load((ROOT / "scenarios" / f"{name}.yaml").read_text())
    assert json.loads((to.parent / "schema.json").read_text())["title"] == "ReLoop Stream scenario"
    assert lab("check", to).code == 0
    again = lab("scenarios", "copy", name, "--to", to)
    assert again.code == 2 and "exists; choose another file" in again.err


def test_a_folder_of_a_scenarios_name_does_not_hide_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "quickstart").mkdir()
    monkeypatch.chdir(tmp_path)
    assert find_scenario("quickstart").read_text(encoding="utf-8").startswith("# yaml-language-server")


def test_a_name_that_is_no_scenario_is_a_mistake() -> None:
    done = lab("scenarios", "copy", "newsfed")
    assert done.code == 2 and "did you mean 'newsfeed'" in done.err
