"""YAML as settings are written in it: read so that nothing is lost or changes its meaning in silence, and written back.

PyYAML reads YAML 1.1, where `no` is false, `010` is 8, `1e-3` a text, and the last of two equal keys wins. Here scalars are
those of YAML 1.2's core schema (https://yaml.org/spec/1.2.2/#103-core-schema), and what the two versions read differently is
refused, but for dates, which are texts: no setting is one. Keys are texts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from reloop_stream.errors import ConfigError

__all__ = ["Location", "as_yaml", "line_of", "parse_yaml", "read_mapping", "read_yaml"]

Location = Sequence[str | int]

# Letters and values of a file with every alias written out: a small file can say "ten times that" many times over.
MOST = 300_000

TAG = "tag:yaml.org,2002:"
UNCLEAR = "!unclear"
LINE_ENDS = {"\x85", "\u2028", "\u2029"}
# What a plain scalar is, in this order, and the letters that it can begin with.
SCALARS = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(0|[1-9][0-9]*)|0x[0-9a-fA-F]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?|[0-9]+\.[0-9]*)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", list("-+.")),
    ("merge", r"<<", ["<"]),
    (UNCLEAR, r"yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF", list("yYnNoO")),
    (
        UNCLEAR,
        r"[-+]?(0[0-9]+|0b[01_]+|0o[0-7_]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*_[0-9_]*(\.[0-9_]*)?|"
        r"[0-9][0-9_]*\.[0-9]*_[0-9_]*|[1-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?)",
        list("-+0123456789"),
    ),
)  # fmt: skip


class _Reader(yaml.SafeLoader):
    """Composes nodes; what they say is `_Values`' business."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 (PyYAML adds to a copy of it)


class _Writer(yaml.SafeDumper):
    """Quotes every text that this reader or one of YAML 1.1 would read as something else."""

    def represent_str(self, text: str) -> yaml.ScalarNode:
        # Line ends that are none to people: only between double quotes are they written as escapes.
        style = '"' if set(text) & LINE_ENDS else None
        return self.represent_scalar(TAG + "str", text, style=style)


_Writer.add_representer(str, _Writer.represent_str)


for _tag, _rule, _first in SCALARS:
    for _class in (_Reader, _Writer):
        _class.add_implicit_resolver(_tag if _tag == UNCLEAR else TAG + _tag, re.compile(f"(?:{_rule})$"), _first)


class _Mistake(Exception):
    """line: from 1; None where there is none to name."""

    def __init__(self, line: int | None, message: str) -> None:
        super().__init__(message)
        self.line = line


def read_mapping(path: Path) -> dict[str, Any]:
    """The mapping that a YAML file holds. Raises ConfigError naming the file and the line."""
    value = read_yaml(path)
    if not isinstance(value, dict):
        got = "nothing" if value is None else "a list" if isinstance(value, list) else repr(value)
        raise ConfigError(f"{path}: must hold a mapping of keys, got {got}")
    return value


def read_yaml(path: Path) -> Any:
    """What a YAML file holds. Raises ConfigError naming the file and the line."""
    return parse_yaml(_text(path), str(path))


def parse_yaml(text: str, source: str, *, with_lines: bool = True) -> Any:
    """What a text of YAML says. Raises ConfigError, whose message begins with the source and the line.

    >>> parse_yaml("{rate: 1e-3, day: 2020-01-01, name: '010'}", "x.yaml")
    {'rate': 0.001, 'day': '2020-01-01', 'name': '010'}
    >>> parse_yaml("{a: 1, a: 2}", "x.yaml")
    Traceback (most recent call last):
    reloop_stream.errors.ConfigError: x.yaml line 1: `a` is given twice (first in line 1); remove one
    """
    try:
        node = _compose(text)
        return None if node is None else _Values().of(node)
    except _Mistake as mistake:
        place = f"{source} line {mistake.line}" if with_lines and mistake.line is not None else source
        raise ConfigError(f"{place}: {mistake}") from None


def as_yaml(value: Any, *, is_short: bool = False) -> str:
    """The value in YAML; `parse_yaml` gives it again, and so does a reader of YAML 1.1. is_short: innermost collections are
    lines.
    """
    flow = None if is_short else False
    text: str = yaml.dump(
        value, Dumper=_Writer, sort_keys=False, allow_unicode=True, width=100, default_flow_style=flow
    )
    return text


def line_of(path: Path, location: Location) -> tuple[int, int]:
    """The line, from 1, of what a file says at a path of keys and numbers, and how far down the path the file goes.

    (0, 0) where it says nothing, or cannot be read. Reads the file again: for messages alone.
    """
    try:
        node = _compose(_text(path))
    except (_Mistake, ConfigError):
        return 0, 0
    line, depth = 0, 0
    for part in location:
        found = None
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == str(part)), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            found = (node.value[part],) * 2
        if found is None:
            break
        line, depth, node = found[0].start_mark.line + 1, depth + 1, found[1]
    return line, depth


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{path} line {line}: is not UTF-8 (byte {data[error.start]:#04x}); save the file as UTF-8"
        ) from None


def _compose(text: str) -> yaml.Node | None:
    try:
        node: yaml.Node | None = _Reader(text).get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        told = ", ".join(part for part in (error.context, error.problem) if part)
        raise _Mistake(None if mark is None else mark.line + 1, f"not valid YAML: {told}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise _Mistake(line, f"not valid YAML: the character U+{error.character:04X} is not allowed") from None
    except RecursionError:
        raise _Mistake(None, "not valid as settings: nested too deeply") from None
    return node


class _Values:
    """What nodes say. An alias is written out anew wherever it stands, so that no two places share a value."""

    def __init__(self) -> None:
        self._size = 0

    def of(self, node: yaml.Node) -> Any:
        self._size += 1 + (len(node.value) if isinstance(node, yaml.ScalarNode) else 0)
        if self._size > MOST:
            raise _Mistake(None, f"holds more than {MOST:,} letters and values, its aliases written out")
        try:
            if isinstance(node, yaml.ScalarNode):
                return _scalar(node)
            if node.tag not in (TAG + "map", TAG + "seq"):
                raise _Mistake(_line(node), f"the tag {_short(node.tag)} means nothing here; remove it")
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node)
            return [self.of(one) for one in node.value]
        except RecursionError:
            raise _Mistake(_line(node), "nested too deeply, or in itself") from None

    def _mapping(self, node: yaml.MappingNode) -> dict[str, Any]:
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        first: dict[str, int] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _Mistake(_line(key), "a key must be a text, got a list or a mapping")
            name = _checked_text(key)
            if name in first:
                raise _Mistake(_line(key), f"`{name}` is given twice (first in line {first[name]}); remove one")
            first[name] = _line(key)
            if key.tag == TAG + "merge":
                merged = self._merged(value)
            else:
                own[name] = self.of(value)
        return merged | own

    def _merged(self, node: yaml.Node) -> dict[str, Any]:
        """What `<<` adds: a mapping, or several of which the earlier ones win."""
        found: dict[str, Any] = {}
        for one in reversed(node.value) if isinstance(node, yaml.SequenceNode) else [node]:
            if not isinstance(one, yaml.MappingNode):
                raise _Mistake(_line(one), "`<<` takes a mapping, or a list of them")
            found |= self.of(one)
        return found


def _scalar(node: yaml.ScalarNode) -> Any:
    read: Mapping[str, Callable[[str], Any]] = {"null": lambda _: None, "int": _int, "float": _float, "bool": _bool}
    kind = node.tag.removeprefix(TAG)
    if node.tag == UNCLEAR:
        raise _Mistake(_line(node), f"`{node.value}` {_remedy(node.value)}")
    if kind in ("str", "merge"):
        return _checked_text(node)
    if kind not in read:
        raise _Mistake(_line(node), f"the tag {_short(node.tag)} means nothing here; remove it")
    try:
        return read[kind](node.value)
    except (ValueError, KeyError):
        shown = node.value if len(node.value) <= 40 else f"{node.value[:37]}..."
        raise _Mistake(_line(node), f"`{shown}` is no {kind} that can be read") from None


def _int(text: str) -> int:
    return int(text, 16 if text.startswith("0x") else 10)


def _float(text: str) -> float:
    return float(re.sub(r"^([-+]?)\.(inf|nan)$", r"\1\2", text, flags=re.IGNORECASE))


def _bool(text: str) -> bool:
    return {"true": True, "false": False}[text.lower()]


def _remedy(text: str) -> str:
    quoted = f'"{text}" in quotes'
    if text.isalpha():
        value = "true" if text.lower() in ("yes", "on") else "false"
        return f"is a truth value to some readers and a text to others; write {value}, or {quoted}"
    if re.fullmatch(r"[-+]?0[0-9]+", text):
        return f"has a leading zero, octal to some readers; write {int(text)}, or {quoted}"
    return f"is a number to some readers and a text to others; write its digits alone, or {quoted}"


def _checked_text(node: yaml.ScalarNode) -> str:
    """JSON writes what lies beyond 16 bits as two halves, which YAML's escapes keep apart."""
    try:
        text: str = node.value.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise _Mistake(_line(node), f"{node.value!r} holds half a character") from None
    return text


def _short(tag: str) -> str:
    return tag.replace(TAG, "!!")


def _line(node: yaml.Node) -> int:
    line: int = node.start_mark.line
    return line + 1
