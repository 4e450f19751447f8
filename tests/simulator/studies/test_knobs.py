"""Grids: which values a text means, and where in a scenario they go."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reloop_stream.errors import ConfigError
from simulator.studies.knobs import Knob, Range, parse_knob, parse_range, points, with_values

decimals = st.decimals(-1000, 1000, places=3)
ARMS = {"arms": [{"name": "control"}, {"name": "re.loop", "learner": {"loss": {"name": "reloop"}}}, {"name": "re"}]}


@settings(deadline=None)
@given(decimals, st.integers(0, 40), st.decimals("0.001", 10, places=3))
def test_steps_hold_both_ends_and_no_rounding(low: Decimal, n: int, step: Decimal) -> None:
    values = parse_knob(f"x={low}:{low + n * step}:{step}").values
    assert len(values) == n + 1
    assert [Decimal(repr(value)) for value in values] == [low + i * step for i in range(n + 1)]


@settings(deadline=None)
@given(decimals, st.integers(0, 40), st.decimals("0.001", 10, places=3), st.decimals("0.01", "0.99", places=2))
def test_an_end_that_no_step_meets_is_not_passed(low: Decimal, n: int, step: Decimal, part: Decimal) -> None:
    values = parse_knob(f"x={low}:{low + (n + part) * step}:{step}").values
    assert len(values) == n + 1


@settings(deadline=None)
@given(st.floats(1e-6, 1e3), st.floats(1.5, 1e4), st.integers(2, 20))
def test_a_logarithmic_range_has_equal_ratios_and_its_ends(low: float, ratio: float, n: int) -> None:
    low, high = float(f"{low:.6g}"), float(f"{low * ratio:.6g}")
    values = np.array(parse_knob(f"x={low!r}..{high!r}:log{n}").values)
    assert values[0] == pytest.approx(low, rel=2e-6) and values[-1] == pytest.approx(high, rel=2e-6)
    np.testing.assert_allclose(np.diff(np.log(values)), np.log(high / low) / (n - 1), rtol=0, atol=1e-5)


@settings(deadline=None)
@given(st.lists(st.integers(-99, 99) | st.floats(-9, 9) | st.booleans(), min_size=1, max_size=9, unique_by=repr))
def test_a_list_is_what_yaml_says(values: list[object]) -> None:
    said = ",".join(str(value).lower() for value in values)
    assert list(map(repr, parse_knob(f"x={said}").values)) == list(map(repr, values))


@pytest.mark.parametrize(
    "text, reason",
    [
        ("alpha", "must be path.to.key=LO:HI:STEP, LO..HI:logN or VALUE,VALUE"),
        ("=1,2", "must be path.to.key="),
        ("x=", "must be path.to.key="),
        ("x=0:1:0", r"got 0:1:0, must have LO <= HI and STEP > 0"),
        ("x=1:0:1", r"got 1:0:1, must have LO <= HI"),
        ("x=a:b:c", "got a:b:c, must be three numbers"),
        ("x=0:nan:1", "must have LO <= HI"),
        ("x=0:1:1e-9", "has 1000000001 values, must have at most 1000"),
        ("x=0..1:log3", "must have LO > 0 for equal ratios"),
        ("x=1..1:log3", "must have LO < HI"),
        ("x=1..2:log1", "got log1, must be of 2 to 1000 values"),
        ("x=1..2", "how many values from 1..2?"),
        ("x=1,1.0", None),
        ("x=1,1", "a value is given twice"),
        ("x={a: 1,{", "--grid x="),
    ],
)
def test_a_mistake_names_the_flag_the_text_and_the_rule(text: str, reason: str | None) -> None:
    if reason is None:
        assert parse_knob(text).values == (1, 1.0)
        return
    with pytest.raises(ConfigError, match=reason) as raised:
        parse_knob(text)
    assert str(raised.value).startswith(f"--grid {text}")


def test_a_range_to_tune_over_has_no_number_of_values() -> None:
    assert parse_range("x=0.01..2:log", "--tune") == ("x", Range(0.01, 2.0, True))
    assert parse_range("x=-1..2", "--tune") == ("x", Range(-1.0, 2.0, False))
    assert parse_range("x=1,2", "--tune") == Knob("x", (1, 2))
    with pytest.raises(ConfigError, match=r"--tune x=2..1: got 2..1, must have LO < HI"):
        parse_range("x=2..1", "--tune")


def test_an_arm_goes_by_its_name_its_number_or_all_and_a_learner_s_key_needs_no_more() -> None:
    def losses(path: str) -> list[object]:
        arms = with_values(ARMS, {path: 0.5})["arms"]
        return [arm.get("learner", {}).get("loss", {}).get("alpha") for arm in arms]

    assert losses("arms.re.loop.learner.loss.alpha") == losses("arms.re.loop.loss.alpha") == [None, 0.5, None]
    assert losses("arms.re.loss.alpha") == losses("arms.2.learner.loss.alpha") == [None, None, 0.5]
    assert losses("arms.*.loss.alpha") == [0.5, 0.5, 0.5]
    assert with_values(ARMS, {"arms.re.share": 0.2})["arms"][2] == {"name": "re", "share": 0.2}
    assert with_values(ARMS, {"world.ctr": 0.2})["world"] == {"ctr": 0.2}
    with pytest.raises(ConfigError, match=r"--grid arms.x.loss: got arm 'x', must be of control, re.loop, re, "):
        with_values(ARMS, {"arms.x.loss": 1})
    with pytest.raises(ConfigError, match=r"^--grid arms.0.name.x=1: arms.0.name is 'control', which has no key 'x'"):
        with_values(ARMS, {"arms.control.name.x": 1})


def test_points_are_every_combination_in_order() -> None:
    found = list(points([Knob("a", (1, 2)), Knob("b", ("x", "y", "z"))]))
    assert [tuple(point.values()) for point in found] == [(a, b) for a in (1, 2) for b in "xyz"]
