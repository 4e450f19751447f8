"""Counts by key, against counting one row at a time."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.run_folder import key_counts
from simulator.run_folder.key_counts import KeyCounts

KEYS = {
    "close together": st.integers(-20, 20),
    "far apart": st.integers(-(2**62), 2**62),
    "texts": st.text(max_size=2),
}


@pytest.mark.parametrize("kind", KEYS)
@given(data=st.data())
def test_counts_are_those_of_the_rows_however_they_are_cut(kind: str, data: st.DataObject) -> None:
    rows: list[tuple[Any, int]] = data.draw(st.lists(st.tuples(KEYS[kind], st.integers(0, 1)), max_size=60))
    cuts = data.draw(st.lists(st.integers(0, len(rows)), max_size=4).map(sorted))
    together = data.draw(st.integers(1, 40))
    shown, clicked = Counter(key for key, _ in rows), Counter(key for key, label in rows if label)
    dtype: Any = object if kind == "texts" else np.int64
    counts, before = KeyCounts(), key_counts.TOGETHER
    try:
        key_counts.TOGETHER = together
        for at, end in zip([0, *cuts], [*cuts, len(rows)], strict=True):
            part = rows[at:end]
            counts.add(np.array([key for key, _ in part], dtype), np.array([label for _, label in part], np.uint8))
    finally:
        key_counts.TOGETHER = before
    counted = KeyCounts(counts.counted()).counted()  # what was counted can be gone on from
    assert counted.key.tolist() == sorted(shown)
    assert counted.exposures.tolist() == [shown[key] for key in sorted(shown)]
    assert counted.clicks.tolist() == [clicked[key] for key in sorted(shown)]


def test_a_row_that_waits_does_not_hold_on_to_the_column_that_it_came_in() -> None:
    counts, column = KeyCounts(), np.arange(10)
    counts.add(column[:2], np.zeros(2, np.uint8))
    column[:] = -1
    assert counts.counted().key.tolist() == [0, 1]
