"""The project as a whole: who imports whom, the compose file, the schema beside the scenarios."""

from __future__ import annotations

import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import yaml

from reloop_stream.log.broker import KAFKA_VERSION
from reloop_stream.log.kafka import TOPIC_CONFIG
from reloop_stream.log.topics import TOPICS
from simulator.scenario import json_schema, load_scenario, parse_scenario, to_yaml

ROOT = Path(__file__).parent.parent
SCENARIOS = sorted((ROOT / "scenarios").glob("*.yaml"))


def test_the_package_holds_what_it_loads_at_run_time() -> None:
    assert KAFKA_VERSION in resources.files("reloop_stream.log").joinpath("broker_pom.xml").read_text()
    assert "<!doctype html>" in resources.files("simulator.readout.report").joinpath("report.html.j2").read_text()


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    text = (ROOT / "docker-compose.kafka.yml").read_text(encoding="utf-8")
    with_defaults = re.sub(r"(?<!\$)\$\{\w+:-(\w+)\}", r"\1", text)  # as compose fills in what is not set
    found: dict[str, Any] = yaml.safe_load(with_defaults)["services"]
    return found


def test_the_composed_broker_listens_where_the_code_looks(compose: dict[str, Any]) -> None:
    broker = compose["broker"]
    advertised = dict(one.split("://") for one in broker["environment"]["KAFKA_ADVERTISED_LISTENERS"].split(","))
    listens = dict(one.split("://") for one in broker["environment"]["KAFKA_LISTENERS"].split(","))
    security = dict(one.split(":") for one in broker["environment"]["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].split(","))
    assert advertised["HOST"] == "127.0.0.1:9092" and listens["HOST"] == ":9092"
    assert set(listens) == set(security) == {*advertised, "CONTROLLER"}
    assert broker["ports"] == ["127.0.0.1:9092:9092"]
    assert broker["environment"]["KAFKA_PROCESS_ROLES"] == "broker,controller"
    assert "localhost:9092" in broker["healthcheck"]["test"]


def test_everything_composed_is_pinned_and_on_loopback(compose: dict[str, Any]) -> None:
    for name, service in compose.items():
        assert service["image"].rsplit(":", 1)[1][:1] in "v123456789", name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
    assert compose["broker"]["image"] == compose["topics"]["image"] == f"apache/kafka:{KAFKA_VERSION}"
    assert compose["ui"]["profiles"] == ["ui"] and "profiles" not in compose["broker"]


def test_the_composed_topics_are_those_of_the_code(compose: dict[str, Any]) -> None:
    script = compose["topics"]["command"][0]
    created = script.split("for topic in ")[1].split(";")[0].split()
    assert tuple(created) == TOPICS
    assert all(f"--config {key}={value}" in script for key, value in TOPIC_CONFIG.items())
    assert compose["topics"]["depends_on"]["broker"] == {"condition": "service_healthy"}


def test_the_files_that_the_architecture_names_are_there() -> None:
    named = set(re.findall(r"`([\w./-]+\.(?:py|yaml|json|md))`", (ROOT / "ARCHITECTURE.md").read_text()))
    homes = (ROOT, ROOT / "reloop_stream", ROOT / "simulator", ROOT / "simulator" / "readout")
    lost = {name for name in named if "NAME" not in name and not any((home / name).exists() for home in homes)}
    assert len(named) > 30 and lost == set()


def test_the_schema_beside_the_scenarios_is_that_of_the_code() -> None:
    # When this fails: python -m simulator schema > scenarios/schema.json
    assert json.loads((ROOT / "scenarios" / "schema.json").read_text()) == json_schema()


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_a_scenario_that_comes_with_the_project_is_valid_and_resolves_to_itself(path: Path) -> None:
    scenario = load_scenario(path)
    assert scenario.name == path.stem and scenario.warnings() == []
    assert parse_scenario(yaml.safe_load(to_yaml(scenario))) == scenario


def test_every_knob_and_every_section_is_documented() -> None:
    schema = json_schema()
    sections = {**schema["$defs"], "Scenario": schema}
    assert [name for name, section in sections.items() if not section.get("description")] == []
    bare = [
        f"{name}.{key}"
        for name, section in sections.items()
        for key, knob in section.get("properties", {}).items()
        # A section is described where it is defined, and a constant says itself what it is.
        if not knob.get("description") and "const" not in knob and "$ref" not in knob
    ]
    assert bare == []
