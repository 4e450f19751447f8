"""`--set path.to.key=value`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reloop_stream.config.yaml_files import parse_yaml
from reloop_stream.errors import ConfigError

__all__ = ["apply_overrides", "is_overridden"]


def apply_overrides(raw: Mapping[str, Any], overrides: Mapping[str, Any] | Iterable[str]) -> dict[str, Any]:
    """The mapping with other values at some paths; list entries go by number.

    overrides: path → value, or texts `path.to.key=value` whose values are YAML; of two for a path the later holds, as usual
    on a command line. Raises ConfigError.

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
        _set_path(result, path, parse_yaml(text, f"--set {override}", with_lines=False), override)
    return result


def is_overridden(location: Sequence[str | int], overrides: Mapping[str, Any] | Iterable[str]) -> bool:
    """Whether the value at a location is one that an override gave, or lies in one."""
    keys = [str(part) for part in location]
    return any((set_to := _keys(override.partition("=")[0])) == keys[: len(set_to)] for override in overrides)


def _keys(path: str) -> list[str]:
    return path.replace("[", ".").replace("]", "").split(".")


def _set_path(raw: dict[str, Any], path: str, value: Any, override: str) -> None:
    keys = _keys(path)
    place: Any = raw
    for depth, key in enumerate(keys):
        last = depth == len(keys) - 1
        if isinstance(place, list):
            if not (key.isascii() and key.isdigit()) or int(key) >= len(place):
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
