"""What is wrong with a configuration, said so that one can put it right."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from reloop_stream.config.learner import NAME
from reloop_stream.config.overrides import is_overridden
from reloop_stream.config.yaml_files import Location, line_of
from reloop_stream.errors import ConfigError

__all__ = ["in_file", "validated"]

Settings = TypeVar("Settings", bound=BaseModel)


def validated(kind: type[Settings], raw: Any, where: Callable[[Location], str]) -> Settings:
    """The settings in what was read. where: a location in raw -> what to call the place, as `in_file` does.

    Raises ConfigError with a line a mistake: `place: path: got value, rule`.
    """
    try:
        settings = kind.model_validate(raw)
    except ValidationError as error:
        found = [(_location(item, raw), item) for item in error.errors()]
        lines = [f"{where(location)}: {_explain(location, item, kind)}" for location, item in found]
        raise ConfigError("\n".join(dict.fromkeys(lines))) from None
    # Pydantic takes true for the number 1.
    lines = [
        f"{where(location)}: {_path(location)}: got {_shown(value)}, must be a number"
        for location, value in _truths(raw, settings.model_dump())
    ]
    if lines:
        raise ConfigError("\n".join(lines))
    return settings


def in_file(path: Path, location: Location, overrides: Mapping[str, Any] | Iterable[str] = ()) -> str:
    """`file line 3` of a value in a YAML file; the file alone where the value is none of its own."""
    line, depth = line_of(path, location)
    if depth == 0 or is_overridden(location, overrides):
        return str(path)
    return f"{path} line {line}"


def _truths(raw: Any, settings: Any, location: Location = ()) -> Iterator[tuple[Location, bool]]:
    """Where true or false was given and something else was made of it."""
    if isinstance(raw, Mapping) and isinstance(settings, Mapping):
        for key in (key for key in raw if key in settings):
            yield from _truths(raw[key], settings[key], [*location, key])
    elif isinstance(raw, list) and isinstance(settings, (list, tuple)):
        for number, (given, made) in enumerate(zip(raw, settings, strict=False)):
            yield from _truths(given, made, [*location, number])
    elif isinstance(raw, bool) and not isinstance(settings, bool):
        yield location, raw


def _location(item: Any, raw: Any) -> Location:
    return [part for part in item["loc"] if not _is_union_tag(part, item["loc"], raw)]


def _path(location: Location) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")


def _shown(value: Any) -> str:
    """As it is written in YAML, shortened."""
    shown = (
        {None: "null", True: "true", False: "false"}[value]
        if value is None or value is True or value is False
        else repr(value)
    )
    return shown if len(shown) <= 80 else shown[:77] + "..."


def _explain(location: Location, item: Any, of: type[BaseModel]) -> str:
    """One pydantic error as `path: got value, rule`; the schema says what a misspelt key was meant to be."""
    path = _path(location)
    message = str(item["msg"]).removeprefix("Value error, ")
    kind = item["type"]
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(
            str(location[-1]), _keys_at(location[:-1], of.model_json_schema()), n=1, cutoff=0.6
        )
        return f"{path}: unknown key" + (f", did you mean `{near[0]}`?" if near else "")
    if kind == "missing":
        return f"{path}: missing, must be given"
    if kind in ("union_tag_not_found", "union_tag_invalid"):
        tag = item["ctx"]["discriminator"].strip("'")
        if kind == "union_tag_not_found":
            return f"{path}: must say which `{tag}` it is"
        return f"{path}.{tag}: got {item['ctx']['tag']!r}, must be one of {item['ctx']['expected_tags']}"
    if kind == "value_error":
        if not path:
            return message
        # A section's own rule names the key below it.
        return f"{path}.{message}" if re.match(r"[a-z_]+: ", message) else f"{path}: {message}"
    message = re.sub(r"^\w+ should ", "must ", message)
    if kind == "string_pattern_mismatch" and item["ctx"]["pattern"] == NAME:
        message = "must be of letters from A to Z, digits, _ . and -, and begin with a letter or a digit"
    if kind == "string_type" and isinstance(item["input"], bool | int | float):
        message += ": write it in quotes"
    return f"{path}: got {_shown(item['input'])}, {message}"


def _is_union_tag(part: Any, location: tuple[Any, ...], raw: Any) -> bool:
    """Pydantic puts the tag of a discriminated union in the path; users do not write it there."""
    place = raw
    for depth, step in enumerate(location):
        # What is not there and yet has something below it is a tag, of a section that left its tag to the default.
        is_inside = depth < len(location) - 1
        is_tag = isinstance(place, Mapping) and step not in place and (is_inside or step in {*map(str, _tags(place))})
        if is_tag or not isinstance(place, Mapping | list):  # below a plain value lie the kinds that it might have been
            if step is part:
                return True
            continue
        if step is part:
            return False
        try:
            place = place[step]
        except (KeyError, IndexError, TypeError):
            return False
    return False


def _tags(place: Mapping[str, Any]) -> list[Any]:
    return [place[key] for key in ("name", "mode", "format", "kind", "distribution", "examination") if key in place]


def _keys_at(location: Location, schema: Mapping[str, Any]) -> list[str]:
    """The keys that the schema allows at a path, for guessing what was meant."""
    definitions = schema.get("$defs", {})

    def options(node: Any) -> list[dict[str, Any]]:
        if "$ref" in node:
            return options(definitions[node["$ref"].rsplit("/", 1)[-1]])
        return [
            found for part in ("anyOf", "oneOf", "allOf") for sub in node.get(part, ()) for found in options(sub)
        ] or [node]

    nodes = options(schema)
    for part in location:
        if isinstance(part, int):
            nodes = [o for n in nodes if "items" in n for o in options(n["items"])]
        else:
            nodes = [o for n in nodes if part in n.get("properties", {}) for o in options(n["properties"][part])]
    return [key for node in nodes for key in node.get("properties", {})]
