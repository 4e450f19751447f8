"""Days cut into blocks of ticks."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from simulator.experiment.calendar import BLOCKS_A_DAY, Calendar
from simulator.scenario import Phase


@given(st.lists(st.integers(1, 100), min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_a_day_is_cut_into_as_equal_stretches_of_ticks_as_there_can_be(ticks: list[int], random: object) -> None:
    """ticks: of each day. Each lasts some time, and one that closes windows follows the last."""
    lengths = [random.randint(1, 9) for _ in range(sum(ticks) + 1)]  # type: ignore[attr-defined]
    bounds = np.concatenate(([0], np.cumsum(lengths)))
    days = bounds[np.concatenate(([0], np.cumsum(ticks)))]
    phases: tuple[Phase, ...] = tuple("ab" for _ in ticks)
    calendar = Calendar(bounds, days, sum(ticks), phases)
    first, last = bounds[:-2], bounds[1:-1] - 1  # of each tick that serves
    blocks = calendar.block_of(first)
    assert np.array_equal(blocks, calendar.block_of(last))
    for day, of_day in enumerate(np.split(blocks, np.cumsum(ticks)[:-1])):
        sizes = np.bincount(of_day)
        assert len(sizes) == min(BLOCKS_A_DAY, ticks[day]) and sizes.max() - sizes.min() <= 1
        assert (np.diff(of_day) >= 0).all()
