"""YAML: nothing is lost and nothing changes its meaning in silence; a mistake names its line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from reloop_stream.config import as_yaml, read_mapping
from reloop_stream.config.yaml_files import line_of, parse_yaml
from reloop_stream.errors import ConfigError

AS_IT_LOOKS = {
    "1e-3": 0.001, "-1E5": -100_000.0, ".5": 0.5, "1.": 1.0, "0.10": 0.1, "12": 12, "-0": 0, "0x1F": 31, "true": True,
    "False": False, "~": None, "": None, "2020-01-01": "2020-01-01", "2020-01-01 10:00:00": "2020-01-01 10:00:00",
    "127.0.0.1:9092": "127.0.0.1:9092", "n": "n", "1e": "1e", "=": "=", '"010"': "010", "'yes'": "yes", "!!str 010": "010",
    r'"\ud83d\ude00"': "😀",
}  # fmt: skip

TWO_READINGS = {
    "yes": "write true", "NO": "write false", "on": "write true", "Off": "write false", "010": "write 10", "-007": "write -7",
    "08": "write 8", "00": "write 0", "1_000": "its digits", "0o17": "its digits", "0b11": "its digits", "12:30": "its digits",
    "1_0.5": "its digits", "0xF_F": "its digits", "-0x1F": "its digits", "1:30:00.5": "its digits",
}  # fmt: skip

NO_SETTINGS = {
    "a: 1\nb: {c: 2,\n  c: 3}": "x.yaml line 3: `c` is given twice (first in line 2); remove one",
    "1: a\n'1': b": "x.yaml line 2: `1` is given twice (first in line 1)",
    "<<: {a: 1}\n<<: {b: 1}": "x.yaml line 2: `<<` is given twice (first in line 1)",
    "a: 1\nb:\n\t- 1": "x.yaml line 3: not valid YAML: while scanning for the next token, found character '\\t'",
    "a: 1\n---\nb: 1": "x.yaml line 2: not valid YAML: expected a single document",
    "a: 1\nb: \x07": "x.yaml line 2: not valid YAML: the character U+0007",
    "a: *b": "x.yaml line 1: not valid YAML: found undefined alias",
    "a: &a [*a]": "x.yaml line 1: nested too deeply, or in itself",
    "a: &a {<<: *a}": "x.yaml line 1: nested too deeply, or in itself",
    "[" * 1000: "x.yaml: not valid as settings: nested too deeply",
    "a: " + "9" * 5000: "x.yaml line 1: `999999",
    "? [a]\n: 1": "x.yaml line 1: a key must be a text",
    "<<: 3": "x.yaml line 1: `<<` takes a mapping",
    "!!python/object/apply:os.getcwd []": "x.yaml line 1: the tag !!python/object/apply:os.getcwd means nothing here",
    "!!timestamp 2020-01-01": "x.yaml line 1: the tag !!timestamp means nothing here",
    r'"\ud83d"': "x.yaml line 1: '\\ud83d' holds half a character",
}


@pytest.mark.parametrize("text", AS_IT_LOOKS)
def test_a_scalar_is_what_it_looks_like(text: str) -> None:
    assert repr(parse_yaml(f"[{text}]" if text else "[~]", "x.yaml")) == repr([AS_IT_LOOKS[text]])
    assert repr(parse_yaml(f"a: {text}", "x.yaml")) == repr({"a": AS_IT_LOOKS[text]})


@pytest.mark.parametrize("text", TWO_READINGS)
def test_what_readers_of_yaml_disagree_about_is_refused_with_both_remedies(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_yaml(f"a: 1\nb: {text}", "x.yaml")
    message = str(caught.value)
    assert message.startswith(f"x.yaml line 2: `{text}` ") and TWO_READINGS[text] in message
    assert f'"{text}" in quotes' in message and parse_yaml(f'b: "{text}"', "x.yaml") == {"b": text}


@pytest.mark.parametrize("text", NO_SETTINGS, ids=range(len(NO_SETTINGS)))
def test_what_are_no_settings_is_named_with_its_line(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_yaml(text, "x.yaml")
    assert str(caught.value).startswith(NO_SETTINGS[text])


def test_keys_are_texts_whatever_they_look_like() -> None:
    assert parse_yaml("{on: 1, 010: 2, null: 3, 1e3: 4}", "x") == {"on": 1, "010": 2, "null": 3, "1e3": 4}


def test_a_merge_key_adds_what_is_not_given_and_the_earlier_one_wins() -> None:
    text = "a: &a {x: 1, y: 1}\nb: &b {x: 2, z: 2}\nc: {x: 0, <<: [*a, *b]}"
    assert parse_yaml(text, "x")["c"] == {"x": 0, "y": 1, "z": 2}


def test_no_two_places_share_a_value() -> None:
    found = parse_yaml("a: &a {x: [1]}\nb: *a", "x")
    found["a"]["x"].append(2)
    assert found["b"] == {"x": [1]}


@pytest.mark.parametrize("leaf, one", [("[x, x, x]", "[{}]"), ("{x: 1}", "{{{}}}")])
def test_aliases_that_would_fill_the_memory_are_refused(leaf: str, one: str) -> None:
    lines = [f"a0: &a0 {leaf}"]
    for level in range(1, 30):
        parts = ", ".join(f"k{i}: *a{level - 1}" if "{" in one else f"*a{level - 1}" for i in range(10))
        lines.append(f"a{level}: &a{level} {one.format(parts)}")
    with pytest.raises(ConfigError, match="more than 300,000 letters and values, its aliases written out"):
        parse_yaml("\n".join(lines), "bomb.yaml")


texts = st.text(st.characters(codec="utf-8"), max_size=8) | st.sampled_from([*AS_IT_LOOKS, *TWO_READINGS, "<<", "null"])
scalars = st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False) | texts
values = st.recursive(scalars, lambda below: st.lists(below, max_size=3) | st.dictionaries(texts, below, max_size=3))


@settings(max_examples=50)
@given(values)
@example("08")
@example({"\x85": "a\u2028b", "c\u2029": ["\n\x85 "]})
@example({"0o17": "1e3", "😀": ["12:30"]})
def test_what_is_written_is_read_again_here_and_by_a_reader_of_yaml_1_1(value: Any) -> None:
    text = as_yaml(value)
    assert repr(parse_yaml(text, "x")) == repr(value)
    assert yaml.safe_load(text) == value


@settings(max_examples=50)
@given(st.dictionaries(texts, values, max_size=4))
def test_json_is_yaml(value: dict[str, Any]) -> None:
    text = json.dumps(value, indent=1).replace("\x7f", "\\u007f")
    assume("Infinity" not in text)  # which JSON has not
    assert repr(parse_yaml(text, "x")) == repr(value)


def test_the_encoding_of_a_file_is_utf_8_with_or_without_its_mark(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes("name: é\n".encode("utf-8-sig"))
    assert read_mapping(path) == {"name": "é"}
    for encoding, byte in (("latin-1", "0xe9"), ("utf-16", "0xff")):
        path.write_bytes("a: 1\nname: é\n".encode(encoding))
        with pytest.raises(ConfigError) as caught:
            read_mapping(path)
        line = 1 if encoding == "utf-16" else 2
        assert str(caught.value) == f"{path} line {line}: is not UTF-8 (byte {byte}); save the file as UTF-8"


@pytest.mark.parametrize(
    "text, got", [("", "nothing"), ("# only this\n", "nothing"), ("- 1", "a list"), ("word", "'word'")]
)
def test_a_file_that_holds_no_mapping_says_what_it_holds(tmp_path: Path, text: str, got: str) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(ConfigError, match=f"x.yaml: must hold a mapping of keys, got {got}"):
        read_mapping(tmp_path / "x.yaml")


def test_the_line_of_a_value_is_where_its_key_stands(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("a:\n  b: 1\n  c:\n    - x\n    - d: 2\n")
    assert line_of(path, ["a"]) == (1, 1) and line_of(path, ["a", "b"]) == (2, 2)
    assert line_of(path, ["a", "c", 1, "d"]) == (5, 4)
    assert line_of(path, ["a", "c", 9]) == (3, 2) and line_of(path, ["z"]) == (0, 0)
