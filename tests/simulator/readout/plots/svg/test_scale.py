"""Scales hold what they are asked to hold, and their ticks are round and within."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.readout.plots.svg.interval import reach_of
from simulator.readout.plots.svg.numbers import as_percents, as_plain, percent
from simulator.readout.plots.svg.scale import Scale, nice_ticks, root_ticks, scale_of

VALUES = st.one_of(st.floats(-1e6, 1e6), st.none(), st.just(math.nan))


@given(st.lists(VALUES))
def test_a_scale_holds_every_value_that_is_defined_strictly_within(values: list[float | None]) -> None:
    scale = scale_of(values)
    assert scale.lo < scale.hi
    assert all(
        0 < scale(value) < 1 for value in values if value is not None and not math.isnan(value) and abs(value) > 1e-9
    )


@given(st.floats(-1e3, 1e3), st.floats(1e-6, 1e3))
def test_ticks_are_within_and_their_labels_tell_them_apart(lo: float, span: float) -> None:
    scale = Scale(lo, lo + span)
    ticks = nice_ticks(scale)
    assert all(scale.lo <= tick <= scale.hi for tick in ticks) and ticks == sorted(set(ticks))
    assert len(set(as_plain(ticks))) == len(ticks)
    assert len(set(as_percents([tick / 100 for tick in ticks]))) == len(ticks)


def test_a_scale_by_roots_begins_at_zero_and_gives_small_shares_room() -> None:
    scale = scale_of([0.01, 0.36], 0.0, root=True)
    assert scale(0.0) == 0 and scale(0.09) == pytest.approx(0.5) and scale(0.36) == pytest.approx(1)
    assert root_ticks(scale) == [0.0, 0.01, 0.05, 0.1, 0.2, 0.3]  # 0.02 is too near to 0.01
    assert root_ticks(Scale(0, 1, root=True), apart=0.3) == [0.0, 0.1, 0.5]


@given(
    st.lists(st.tuples(st.floats(-1, 1), st.floats(1e-4, 0.5)).map(lambda one: (one[0] - one[1], one[0] + one[1]))),
    st.lists(st.floats(-1, 1)),
)
def test_a_column_of_effects_holds_zero_and_the_truths(
    intervals: list[tuple[float, float]], truths: list[float]
) -> None:
    reach = reach_of(intervals, truths)
    assert all(reach.lo <= value <= reach.hi for value in (0.0, *truths))


def test_one_interval_that_is_much_wider_leaves_the_others_their_room() -> None:
    usual = [(-0.01 + 0.001 * i, 0.01 + 0.001 * i) for i in range(9)]
    reach = reach_of([*usual, (-5.0, 5.0), (math.nan, math.nan)])
    assert all(reach.lo < lo and hi < reach.hi for lo, hi in usual) and reach.hi - reach.lo < 0.2


def test_a_minus_sign_is_one_and_zero_has_no_sign_on_an_axis() -> None:
    assert as_percents([-0.005, 0.0, 0.005], sign=True) == ["−0.5%", "0.0%", "+0.5%"]
    assert as_plain([-1.0, 0.0, 1.0], sign=True) == ["−1", "0", "+1"] and percent(None) == "–"
