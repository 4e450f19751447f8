"""What is wrong with a configuration, said so that one can put it right."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any

__all__ = ["explain"]


def explain(item: Any, raw: Any, schema: Mapping[str, Any]) -> str:
    """One pydantic error as `path: got value, rule`.

    raw: what was validated. schema: its JSON Schema, for guessing what a misspelt key was meant to be.
    """
    location = [part for part in item["loc"] if not _is_union_tag(part, item["loc"], raw)]
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")
    message = str(item["msg"]).removeprefix("Value error, ")
    kind = item["type"]
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(str(location[-1]), _keys_at(location[:-1], schema), n=1, cutoff=0.6)
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
    shown = repr(item["input"])
    message = re.sub(r"^\w+ should ", "must ", message)
    return f"{path}: got {shown if len(shown) <= 80 else shown[:77] + '...'}, {message}"


def _is_union_tag(part: Any, location: tuple[Any, ...], raw: Any) -> bool:
    """Pydantic puts the tag of a discriminated union in the path; users do not write it there."""
    place = raw
    for depth, step in enumerate(location):
        # What is not there and yet has something below it is a tag, of a section that left its tag to the default.
        is_inside = depth < len(location) - 1
        is_tag = isinstance(place, Mapping) and step not in place and (is_inside or step in {*map(str, _tags(place))})
        if step is part:
            return is_tag
        if is_tag:
            continue
        try:
            place = place[step]
        except (KeyError, IndexError, TypeError):
            return False
    return False


def _tags(place: Mapping[str, Any]) -> list[Any]:
    return [place[key] for key in ("name", "mode", "format", "kind", "distribution", "examination") if key in place]


def _keys_at(location: list[Any], schema: Mapping[str, Any]) -> list[str]:
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
