"""`--set path.to.key=value`, and reading YAML."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from reloop_stream.errors import ConfigError

__all__ = ["apply_overrides", "read_yaml"]


def apply_overrides(raw: Mapping[str, Any], overrides: Mapping[str, Any] | Iterable[str]) -> dict[str, Any]:
    """The mapping with other values at some paths; list entries go by number.

    overrides: path → value, or texts `path.to.key=value` whose values are YAML. Raises ConfigError.

    >>> apply_overrides({"arms": [{"share": 1.0}]}, ["arms.0.share=0.5", "name=try"])
    {'arms': [{'share': 0.5}], 'name': 'try'}
    >>> apply_overrides({"seed": {"world": 1}}, {"seed.world": 2})
    {'seed': {'world': 2}}
    """
    result: dict[str, Any] = json.loads(json.dumps(raw, default=str))
    if isinstance(overrides, Mapping):
        for path, value in overrides.items():
            _set_path(result, path, value, f"{path}={value}")
        return result
    for override in overrides:
        path, equals, text = override.partition("=")
        if not equals or not path:
            raise ConfigError(f"--set {override}: must be path.to.key=value")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigError(f"--set {override}: the value is not valid YAML: {error}") from None
        _set_path(result, path, value, override)
    return result


def _set_path(raw: dict[str, Any], path: str, value: Any, override: str) -> None:
    keys = path.replace("[", ".").replace("]", "").split(".")
    place: Any = raw
    for depth, key in enumerate(keys):
        last = depth == len(keys) - 1
        if isinstance(place, list):
            if not key.isdigit() or int(key) >= len(place):
                raise ConfigError(
                    f"--set {override}: {'.'.join(keys[:depth])} has {len(place)} entries, numbered from 0; got {key!r}"
                )
            index: Any = int(key)
        elif isinstance(place, dict):
            index = key
        else:
            raise ConfigError(f"--set {override}: {'.'.join(keys[:depth])} is {place!r}, which has no key {key!r}")
        if last:
            place[index] = value
            continue
        if isinstance(place, dict) and place.get(key) is None:
            place[key] = {}
        place = place[index]


def read_yaml(path: Path) -> Any:
    """What a YAML file holds. Raises ConfigError naming it."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from None
