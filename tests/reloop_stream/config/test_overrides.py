"""`--set`: the same YAML as in a file, at a path."""

from __future__ import annotations

import pytest

from reloop_stream.config import apply_overrides
from reloop_stream.config.overrides import is_overridden
from reloop_stream.errors import ConfigError


def test_a_value_is_read_as_in_a_file() -> None:
    found = apply_overrides({}, ["a=1e-3", "b=2020-01-01", 'c="010"', "d=[true, ~]", "e="])
    assert found == {"a": 0.001, "b": "2020-01-01", "c": "010", "d": [True, None], "e": None}


@pytest.mark.parametrize(
    "override, message",
    [
        ("a=010", "`010` has a leading zero, octal to some readers; write 10"),
        ("a=yes", "`yes` is a truth value to some readers"),
        ("a={b: 1, b: 2}", "`b` is given twice"),
        ("list.²=1", "list has 1 entries, numbered from 0; got '²'"),
        ("list.-1=1", "list has 1 entries, numbered from 0; got '-1'"),
    ],
)
def test_what_a_file_may_not_say_an_override_may_not_either(override: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        apply_overrides({"list": [0]}, [override])
    assert str(caught.value).startswith(f"--set {override}: ") and message in str(caught.value)


def test_the_later_of_two_overrides_holds() -> None:
    assert apply_overrides({}, ["a.b=1", "a.b=2", "c=3"]) == {"a": {"b": 2}, "c": 3}


def test_what_an_override_gave_is_known() -> None:
    overrides = ["arms[0].share=1", "learner={loss: {name: bce}}"]
    assert is_overridden(["arms", 0, "share"], overrides) and is_overridden(["learner", "loss", "name"], overrides)
    assert not is_overridden(["arms", 1, "share"], overrides) and not is_overridden(["arms"], overrides)
