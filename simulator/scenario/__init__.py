"""The scenario: the YAML contract of a run."""

from __future__ import annotations

from simulator.scenario.bundled import bundled_scenarios, copy_scenario, find_scenario
from simulator.scenario.load import json_schema, load_scenario, parse_scenario, raw_scenario, scenario_hash, to_yaml
from simulator.scenario.scenario import Scenario
from simulator.scenario.sections import CONTROL_LEARNER, EVERYONE, ArmConfig, LogConfig, Phase, ServingConfig

__all__ = [
    "CONTROL_LEARNER",
    "EVERYONE",
    "ArmConfig",
    "LogConfig",
    "Phase",
    "Scenario",
    "ServingConfig",
    "bundled_scenarios",
    "copy_scenario",
    "find_scenario",
    "json_schema",
    "load_scenario",
    "parse_scenario",
    "raw_scenario",
    "scenario_hash",
    "to_yaml",
]
