"""Transforms of numbers: worked values, running moments against numpy, and what an encoder keeps of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from reloop_stream.config import FieldConfig
from reloop_stream.errors import EventError, StateError
from reloop_stream.events import LARGEST_NUMBER
from reloop_stream.features.encoder import Encoder
from reloop_stream.features.numbers import FURTHEST, Moments, bucket_of, signed_log1p

NUMBERS = st.floats(-LARGEST_NUMBER, LARGEST_NUMBER, width=32)


def field(transform: str, **more: Any) -> FieldConfig:
    return FieldConfig.model_validate({"name": "x", "kind": "number", "transform": transform, **more})


def seen(encoder: Encoder, *x: float) -> list[float]:
    found: list[float] = encoder.encode({"x": np.array(x)}).numbers[:, 0].tolist()
    return found


@given(st.lists(NUMBERS, min_size=1))
def test_the_logarithm_is_odd_rises_and_is_defined_everywhere(values: list[float]) -> None:
    x = np.sort(np.array(values))
    found = signed_log1p(x)
    assert np.isfinite(found).all() and (np.diff(found) >= 0).all()
    assert np.array_equal(signed_log1p(-x), -found)
    assert found.tolist() == pytest.approx([math.copysign(math.log1p(abs(one)), one) for one in x.tolist()])


def criteo(value: int) -> str:
    """As `pre-b.py` of github.com/guestwalk/kaggle-2014-criteo names the category of a count."""
    return str(int(math.log(float(value)) ** 2)) if value > 2 else f"SP{value}"


@given(st.lists(st.integers(-3, 60) | st.integers(-(2**31), 2**31), min_size=1))
def test_buckets_are_those_of_the_winners_of_criteo_s_challenge(values: list[int]) -> None:
    found = bucket_of(np.array(values), None).tolist()
    for a, in_a in zip(values, found, strict=True):
        for b, in_b in zip(values, found, strict=True):
            assert (in_a == in_b) == (criteo(a) == criteo(b))
            assert a > b or in_a <= in_b


@given(st.lists(NUMBERS, min_size=1), st.lists(st.floats(-100, 100), min_size=1, unique=True))
def test_a_bucket_begins_at_its_edge(values: list[float], edges: list[float]) -> None:
    found = bucket_of(np.array(values), sorted(edges)).tolist()
    assert found == [sum(edge <= value for edge in edges) for value in values]


@given(st.lists(st.lists(st.floats(-1e6, 1e6), max_size=20), max_size=8), st.randoms())
def test_moments_are_those_of_all_numbers_however_they_come(batches: list[list[float]], random: Any) -> None:
    one, other = Moments(), Moments()
    for batch in batches:
        one = one.joined(np.array(batch))
        shuffled = list(batch)
        random.shuffle(shuffled)
        other = other.joined(np.array(shuffled))
    flat = np.array([value for batch in batches for value in batch])
    assert one.n == len(flat)
    if len(flat):
        assert one.mean == pytest.approx(flat.mean(), abs=1e-6)
        assert one.squares == pytest.approx(((flat - flat.mean()) ** 2).sum(), rel=1e-9, abs=1e-3)
    assert other == pytest.approx(one, rel=1e-9, abs=1e-3)


def test_a_number_is_standardised_by_those_before_it() -> None:
    encoder = Encoder([field("standardised")])
    assert seen(encoder, 7.0, -1e30) == [0.0, 0.0]  # nothing has been learnt
    encoder.learn_numbers({"x": np.array([2.0, 4.0, 4.0, 6.0])})
    sd = math.sqrt(2.0)
    assert seen(encoder, 4.0, 5.0, 1e30, -1e30) == pytest.approx([0.0, 1 / sd, FURTHEST, -FURTHEST])
    before = encoder.frozen()
    encoder.learn_numbers({"x": np.array([100], dtype=np.int64)})
    assert seen(before, 5.0) == pytest.approx([1 / sd]) != seen(encoder, 5.0)
    with pytest.raises(TypeError, match="a frozen encoder learns no values"):
        before.learn_numbers({"x": np.array([1.0])})


@pytest.mark.parametrize("value", [0.0, 0.1, 1e9 + 0.3, -3e38])
def test_a_number_that_never_varies_says_nothing(value: float) -> None:
    encoder = Encoder([field("standardised")])
    for n in (3, 7, 11):
        encoder.learn_numbers({"x": np.full(n, value)})
    assert seen(encoder, value, value + 1) == [0.0, 0.0]


def test_the_state_of_moments_comes_back_and_another_s_is_refused() -> None:
    one, other = Encoder([field("standardised")]), Encoder([field("standardised")])
    one.learn_numbers({"x": np.array([1.0, 2.0, 4.0])})
    other.restore(*one.state())
    assert seen(other, 3.0) == seen(one, 3.0) != [0.0]
    with pytest.raises(StateError, match="holds no mean and spread of x"):
        other.restore({}, {})


@pytest.mark.parametrize("mode", ["exact", "hashed", "growing"])
def test_a_number_in_buckets_has_the_rows_of_a_category(mode: str) -> None:
    x, keys = np.array([-1.0, 0.0, 1.5, 2.0, 5.0, 900.0]), np.array([-1, 0, 1, 2, 5, 49])
    number = Encoder([field("buckets", mode=mode, buckets=64)])
    category = Encoder([FieldConfig.model_validate({"name": "x", "mode": mode, "buckets": 64})])
    number.learn_values({"x": x[:4]})
    category.learn_values({"x": keys[:4]})
    found = number.encode({"x": x})
    assert found.slots.tolist() == category.encode({"x": keys}).slots.tolist() and found.numbers.shape == (6, 0)
    assert number.rows == category.rows


@pytest.mark.parametrize("transform", ["log1p", "standardised", "buckets"])
def test_what_is_no_number_is_refused_before_it_is_transformed(transform: str) -> None:
    for value in (np.nan, np.inf, 1e39):
        with pytest.raises(EventError, match=r"features\.x: got .*must be a finite number that fits 32 bits"):
            Encoder([field(transform)]).encode({"x": np.array([1.0, value])})


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"kind": "category", "transform": "log1p"}, "transform: got 'log1p', which is for kind number, not category"),
        ({"transform": "log1p", "edges": [1]}, r"edges: got \[1.0\], which are for transform buckets, not log1p"),
        ({"transform": "buckets", "edges": [1, 1]}, r"edges: got \[1.0, 1.0\], each must be above the one before it"),
        ({"transform": "buckets", "edges": []}, "at least 1 item"),
        ({"transform": "buckets", "edges": [math.inf]}, "finite number"),
        (
            {"transform": "buckets", "edges": [1, 2], "mode": "exact", "buckets": 2},
            r"buckets: got 2, 2 edges have 3 \(mode: exact\)",
        ),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        FieldConfig.model_validate({"name": "x", "kind": "number", **settings})
