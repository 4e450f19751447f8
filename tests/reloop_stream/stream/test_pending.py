"""Exposures whose window is open, and the clicks that look for them."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from reloop_stream.events import constant
from reloop_stream.stream.pending import FEW, Chunk, LoggedClicks
from reloop_stream.testing import exposures

PLACES = st.tuples(st.integers(0, 4), st.integers(-3, 3))  # (time, id)


@settings(max_examples=60, deadline=None)
@given(st.sets(PLACES, min_size=1), st.lists(PLACES), st.booleans())
def test_exposures_are_found_by_the_time_and_id_that_clicks_name(
    open_: set[tuple[int, int]], named: list[tuple[int, int]], has_texts: bool
) -> None:
    def ids(places: list[tuple[int, int]]) -> np.ndarray:
        found = np.array([place[1] for place in places], dtype=np.int64)
        return found.astype(str).astype(object) if has_texts else found

    # As a join keeps them; texts have another order than numbers.
    rows = sorted(open_, key=lambda place: (place[0], str(place[1]) if has_texts else place[1]))
    times = np.array([time for time, _ in rows])
    chunk = Chunk(exposures(len(rows), event_time_ms=times, exposure_id=ids(rows)), np.zeros(len(rows), dtype=bool))
    n, said = len(named), np.array([time for time, _ in named], dtype=np.int64)
    clicks = LoggedClicks(ids(named), said, said + 10, constant(0, n, np.int32), constant(0, n, np.int64))
    of = np.arange(n)[::2]
    hits = chunk.named(clicks, of)
    expected = {i: (rows.index(named[i]), 10) for i in of.tolist() if named[i] in open_}
    found = zip(hits.row.tolist(), hits.delay_ms.tolist(), strict=True)
    assert dict(zip(hits.click.tolist(), found, strict=True)) == expected


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=40), st.lists(st.integers(-2, 12), max_size=2 * FEW), st.booleans()
)
def test_ids_are_found_in_every_row_that_bears_them(there: list[int], wanted: list[int], has_texts: bool) -> None:
    def ids(numbers: list[int]) -> np.ndarray:
        found = np.array(numbers, dtype=np.int64)
        return found.astype(str).astype(object) if has_texts else found

    n = len(there)
    chunk = Chunk(exposures(n, event_time_ms=np.arange(n), exposure_id=ids(there)), np.zeros(n, dtype=bool))
    expected = {i: [row for row in range(n) if there[row] == number] for i, number in enumerate(wanted)}
    for _ in range(2):  # before and after all rows were sorted
        found: dict[int, list[int]] = {i: [] for i in range(len(wanted))}
        for which, rows in chunk.find(ids(wanted)):
            for i, row in zip(which.tolist(), rows.tolist(), strict=True):
                found[i].append(row)
        assert found == expected
        assert len(chunk.by_id) == n
