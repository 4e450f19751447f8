"""A scenario from YAML, and back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from reloop_stream import plugins
from reloop_stream.config import apply_overrides, as_yaml, in_file, read_mapping, validated
from reloop_stream.config.yaml_files import Location, line_of
from reloop_stream.errors import ConfigError, PluginError
from simulator.errors import ScenarioError
from simulator.scenario.scenario import Scenario
from simulator.scenario.sections import TRUTH_BY_WORD

__all__ = ["json_schema", "load_scenario", "parse_scenario", "raw_scenario", "scenario_hash", "to_yaml"]


def load_scenario(path: Path, overrides: Mapping[str, Any] | Iterable[str] = ()) -> Scenario:
    """The scenario in a YAML file, with other values at some paths; see `reloop_stream.config.apply_overrides`.

    Raises ConfigError naming the file and what is wrong, ScenarioError with every mistake in the scenario.
    """
    if not path.exists():
        raise ScenarioError(
            f"{path}: no such file; `python -m simulator scenarios` lists those that come with the project"
        )
    return parse_scenario(raw_scenario(path, overrides), lambda location: _in_file(path, location, overrides))


def raw_scenario(path: Path, overrides: Mapping[str, Any] | Iterable[str] = ()) -> dict[str, Any]:
    """What the file says, with other values at some paths: for `parse_scenario`, from any folder. Raises ConfigError."""
    raw = _overridden(read_mapping(path), overrides)
    if isinstance(raw.get("plugins"), list):
        raw["plugins"] = [str((path.parent / str(file)).resolve()) for file in raw["plugins"]]
    return raw


def parse_scenario(raw: Mapping[str, Any], where: Callable[[Location], str] = lambda _: "scenario") -> Scenario:
    """The scenario that a mapping describes; each arm's `learner` is merged over the scenario's, and what is left out is
    what a simulation or a replay has there.

    where: what to call a place in the mapping. Raises ScenarioError with a line a mistake.
    """
    merged = dict(raw)
    if merged.get("world") is None and merged.get("data") is None:
        merged["world"] = {}
    if isinstance(experiment := merged.get("experiment", {}), Mapping):
        usual = "split" if merged.get("data") is None else "paired"
        said = experiment.get("design")
        merged["experiment"] = {**experiment, "design": usual if said is None else said}
    base, arms = merged.get("learner"), merged.get("arms")
    if isinstance(arms, list) and isinstance(base, Mapping | None):
        merged["arms"] = [_merge_arm(base or {}, arm) for arm in arms]
    if isinstance(files := merged.get("plugins"), list):
        try:
            plugins.load(map(str, files))
        except PluginError as error:
            raise ScenarioError(f"{where(['plugins'])}: plugins: {error}") from None
    try:
        return validated(Scenario, merged, where)
    except ConfigError as error:
        raise ScenarioError(str(error)) from None


def _overridden(raw: dict[str, Any], overrides: Mapping[str, Any] | Iterable[str]) -> dict[str, Any]:
    """`apply_overrides`, one after the other, each of which may go on from what a word stands for."""
    each = [{path: value} for path, value in overrides.items()] if isinstance(overrides, Mapping) else overrides
    for override in ({}, *each):
        raw = apply_overrides(raw, [override] if isinstance(override, str) else override)
        if isinstance(word := raw.get("truth"), str) and word in TRUTH_BY_WORD:
            raw["truth"] = TRUTH_BY_WORD[word]
    return raw


def _in_file(path: Path, location: Location, overrides: Mapping[str, Any] | Iterable[str]) -> str:
    """A setting of an arm's learner that the arm does not give came from the scenario's `learner`."""
    base = location[2:]
    if location[:1] == ["arms"] and base[:1] == ["learner"] and line_of(path, location)[1] < len(location):
        return in_file(path, base, overrides)
    return in_file(path, location, overrides)


def _merge_arm(base: Mapping[str, Any], arm: Any) -> Any:
    if not isinstance(arm, Mapping) or not isinstance(arm.get("learner", {}), Mapping | None):
        return arm
    return {**arm, "learner": _merge(base, arm.get("learner") or {})}


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` on top of `base`, mapping by mapping. A mapping that chooses another `name` or `mode` replaces the base's."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            same_kind = all(value.get(tag, below.get(tag)) == below.get(tag) for tag in ("name", "mode"))
            merged[key] = _merge(below, value) if same_kind else dict(value)
        else:
            merged[key] = value
    return merged


def json_schema() -> dict[str, Any]:
    """The scenario's JSON Schema, for editors that complete and check YAML."""
    schema = Scenario.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "ReLoop Stream scenario"}


def to_yaml(scenario: Scenario) -> str:
    """The resolved scenario: every default written out. Reading it again gives the same scenario."""
    return as_yaml(scenario.model_dump(mode="json", exclude_none=True))


def scenario_hash(scenario: Scenario) -> str:
    """Eight hex digits that name the resolved scenario."""
    canonical = json.dumps(scenario.model_dump(mode="json"), sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:8]
