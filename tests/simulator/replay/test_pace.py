"""Events of the past are due as their clock ran, so many times as fast."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reloop_stream.testing import ManualClock
from simulator.replay.pace import Pace


def paced(speed: float | None) -> tuple[Pace, ManualClock]:
    clock = ManualClock(1000.0)
    return Pace(speed, now=clock, sleep=clock.advance), clock


@given(st.lists(st.integers(0, 10**7), min_size=1, max_size=20), st.floats(0.5, 1e4))
def test_events_pass_so_many_times_as_fast_as_their_clock_ran(gaps_ms: list[int], speed: float) -> None:
    pace, clock = paced(speed)
    time_ms = 1_700_000_000_000
    for gap in gaps_ms:
        assert pace.wait(time_ms)
        time_ms += gap
    assert abs((clock() - 1000.0) - sum(gaps_ms[:-1]) / 1000 / speed) < 1e-3


def test_as_fast_as_possible_waits_for_nothing() -> None:
    pace, clock = paced(None)
    assert pace.wait(0) and pace.wait(10**12) and clock() == 1000.0


def test_after_a_pause_the_rest_moves_with_it() -> None:
    pace, clock = paced(1.0)
    assert pace.wait(0)
    clock.advance(60)  # nobody asked for the next event in time
    assert pace.wait(1000) and clock() == 1060.0
    assert pace.wait(3000) and clock() == 1062.0


def test_a_stop_ends_a_wait() -> None:
    pace, clock = paced(1.0)
    assert pace.wait(0)
    assert not pace.wait(3_600_000, lambda: clock() > 1001) and clock() < 1002
