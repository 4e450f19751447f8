"""The scenario: the YAML contract of a run."""

from __future__ import annotations

from simulator.scenario.load import json_schema, load_scenario, parse_scenario, scenario_hash, to_yaml
from simulator.scenario.scenario import Scenario
from simulator.scenario.sections import ArmConfig, Phase, ScenarioError, ServingConfig

__all__ = [
    "ArmConfig",
    "Phase",
    "Scenario",
    "ScenarioError",
    "ServingConfig",
    "json_schema",
    "load_scenario",
    "parse_scenario",
    "scenario_hash",
    "to_yaml",
]
