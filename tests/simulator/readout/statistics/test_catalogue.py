"""The catalogue that an arm shows, by hand and against another formula."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.readout.statistics.catalogue import Catalogue, catalogue_by_day, gini, over_days
from simulator.run_folder.columns import ITEMS_COLUMNS


@given(st.lists(st.integers(1, 50), min_size=1, max_size=12), st.integers(0, 8), st.integers(2, 5))
def test_the_gini_is_half_the_mean_difference_of_two_items_over_their_mean(
    exposures: list[int], unseen: int, times: int
) -> None:
    everything = np.array(exposures + [0] * unseen, dtype=float)
    apart = np.abs(everything[:, None] - everything[None, :]).mean() / (2 * everything.mean())
    found = gini(np.array(exposures), len(everything))
    assert found == pytest.approx(apart, abs=1e-12)
    # As unequal whatever the number of exposures, and whether an item or several are alike.
    assert gini(times * np.array(exposures), len(everything)) == pytest.approx(found)
    assert gini(np.repeat(exposures, times), times * len(everything)) == pytest.approx(found)


def test_the_gini_of_nothing_shown_is_not_defined() -> None:
    assert math.isnan(gini(np.zeros(0, np.int64), 10))


def table(rows: list[tuple[int, str, str, int, int, int, int, int]]) -> pa.Table:
    return pa.table(dict(zip(ITEMS_COLUMNS, map(list, zip(*rows, strict=True)), strict=True)))


ITEMS = table(
    [
        (3, "ab", "b", 7, 10, 1, 0, 4),
        (2, "ab", "a", 1, 6, 1, 6, 4),
        (2, "ab", "a", 2, 2, 0, 1, 4),
        (3, "ab", "a", 2, 5, 0, 0, 5),
        (1, "aa", "a", 9, 1, 0, 1, 1),
    ]
)


def test_a_day_s_catalogue_by_hand() -> None:
    days = catalogue_by_day(ITEMS)
    assert set(days) == {"a", "b"} and set(days["a"]) == {1, 2, 3} and set(days["b"]) == {3}
    # Two of four items; (0, 0, 2, 6): Σ (2 i − 5) x / (4 · 8) = (2 + 18) / 32; seven of eight exposures of a new one.
    assert days["a"][2] == pytest.approx((0.5, 20 / 32, 7 / 8))
    assert days["a"][3] == pytest.approx((1 / 5, 4 / 5, 0.0)) and days["b"][3] == pytest.approx((1 / 4, 3 / 4, 0.0))
    assert days["a"][1] == Catalogue(1.0, 0.0, 1.0)


def test_over_days_items_and_exposures_are_added_up_and_ginis_averaged() -> None:
    found = over_days(ITEMS, "ab")
    assert found["a"] == pytest.approx((3 / 9, (20 / 32 + 4 / 5) / 2, 7 / 13)) and found["b"] == pytest.approx(
        (0.25, 0.75, 0)
    )
    assert over_days(ITEMS, "warmup") == {}
