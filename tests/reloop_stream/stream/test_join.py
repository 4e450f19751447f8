"""The join: what comes out depends on events and watermarks, not on how they were cut."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reloop_stream.clock import HOUR_MS
from reloop_stream.events import ClickBatch, ExampleBatch
from reloop_stream.stream.join import EARLY_MS, Join, JoinCounts
from reloop_stream.testing import clicks_on, exposures, same_columns

LATE = 10 * HOUR_MS


def test_clicked_exposures_are_positive_and_the_rest_negative() -> None:
    shown, join = exposures(20), Join(HOUR_MS)
    join.add_exposures(shown)
    join.add_clicks(clicks_on(shown, [3, 7]))
    found = join.release(LATE).examples
    assert found is not None and len(found) == 20
    assert sorted(found.exposure_id[found.label == 1].tolist()) == [3, 7]
    assert (np.diff(found.label_time_ms) >= 0).all()


@pytest.mark.parametrize("emit", ["at_close", "at_click", "at_once"])
def test_an_example_has_its_exposure_s_weight_through_a_restart_too(emit: Any) -> None:
    shown, join, again = exposures(20), Join(HOUR_MS, emit), Join(HOUR_MS, emit)
    join.add_exposures(shown.part(slice(0, 12)))
    join.add_exposures(replace(shown.part(slice(12, 20)), weight=np.arange(12, 20.0)))
    join.release(0)
    again.restore(join.state())
    again.add_clicks(clicks_on(shown, [3, 14]))
    released = again.release(LATE)
    for found in (released.examples, released.outcomes):
        assert found is not None and found.exposures.weight is not None
        expected = [i if i >= 12 else 1 for i in found.exposure_id.tolist()]
        assert found.exposures.weight.tolist() == expected


def test_a_click_after_the_window_is_late_and_gives_no_label() -> None:
    shown, join = exposures(4), Join(HOUR_MS)
    join.add_exposures(shown)
    join.add_clicks(clicks_on(shown, [1], after_ms=HOUR_MS + 1))
    released = join.release(LATE)
    assert join.counts.late == 1 and released.unknown is None
    assert released.examples is not None and released.examples.label.sum() == 0


def test_a_click_exactly_at_the_end_of_the_window_counts() -> None:
    shown, join = exposures(4), Join(HOUR_MS)
    join.add_exposures(shown)
    join.add_clicks(clicks_on(shown, [1], after_ms=HOUR_MS))
    found = join.release(LATE).examples
    assert found is not None and found.label.sum() == 1


def test_a_click_may_come_before_its_exposure() -> None:
    shown, join = exposures(4), Join(HOUR_MS)
    join.add_clicks(clicks_on(shown, [2]))
    join.release(0)
    join.add_exposures(shown)
    found = join.release(LATE).examples
    assert found is not None and found.exposure_id[found.label == 1].tolist() == [2]


@pytest.mark.parametrize("skew_ms", [-3 * HOUR_MS, -1, 1, 3 * HOUR_MS])
def test_a_click_finds_its_exposure_whatever_it_says_of_its_time(skew_ms: int) -> None:
    shown, join = exposures(8), Join(HOUR_MS)
    join.add_exposures(shown)
    honest = clicks_on(shown, [2, 5])
    join.add_clicks(replace(honest, event_time_ms=honest.event_time_ms + skew_ms))
    found = join.release(LATE).examples
    assert found is not None and sorted(found.exposure_id[found.label == 1].tolist()) == [2, 5]


def test_a_click_counts_up_to_a_second_before_its_exposure() -> None:
    shown, join = exposures(8), Join(HOUR_MS)
    join.add_exposures(shown)
    join.add_clicks(clicks_on(shown, [2], after_ms=-EARLY_MS))
    join.add_clicks(clicks_on(shown, [5], after_ms=-EARLY_MS - 1))
    released = join.release(LATE)
    assert released.examples is not None and released.examples.exposure_id[released.examples.label == 1].tolist() == [2]
    assert released.unknown is not None and released.unknown.exposure_id.tolist() == [5]
    assert (join.counts.joined, join.counts.early_clicks, join.counts.unknown_clicks) == (1, 1, 0)


def test_how_early_a_click_may_be_is_stated() -> None:
    shown = exposures(8)
    for early_ms, label in ((0, 0), (5000, 1)):
        join = Join(HOUR_MS, early_ms=early_ms)
        join.add_exposures(shown)
        join.add_clicks(clicks_on(shown, [2], after_ms=-4000))
        found = join.release(LATE).examples
        assert found is not None and found.label.sum() == label


def test_a_click_on_nothing_is_unknown_once_its_window_has_passed() -> None:
    join = Join(HOUR_MS)
    join.add_clicks(ClickBatch(np.array([99]), np.array([5]), np.array([6])), partition=1, offset=7)
    assert join.release(HOUR_MS + EARLY_MS + 6).unknown is None
    unknown = join.release(LATE).unknown
    assert unknown is not None and (unknown.exposure_id[0], unknown.partition[0], unknown.offset[0]) == (99, 1, 7)


def test_copies_are_dropped_and_counted() -> None:
    shown, join = exposures(6), Join(HOUR_MS)
    for _ in range(2):
        join.add_exposures(shown)
        join.add_clicks(clicks_on(shown, [1]))
    found = join.release(LATE).examples
    assert found is not None and len(found) == 6 and found.label.sum() == 1
    assert (join.counts.duplicate_exposures, join.counts.duplicate_clicks) == (6, 1)


def test_at_click_gives_the_positive_at_the_click_and_no_negative_for_it() -> None:
    shown, join = exposures(6), Join(HOUR_MS, "at_click")
    join.add_exposures(shown)
    join.add_clicks(clicks_on(shown, [1]))
    first = join.release(int(shown.event_time_ms[1]) + 60_001).examples
    assert first is not None and first.exposure_id.tolist() == [1] and first.label.tolist() == [1]
    rest = join.release(LATE).examples
    assert rest is not None and sorted(rest.exposure_id.tolist()) == [0, 2, 3, 4, 5] and not rest.label.any()


def test_at_once_gives_a_negative_at_serving_and_a_second_positive_at_the_click() -> None:
    shown, join = exposures(6), Join(HOUR_MS, "at_once")
    join.add_exposures(shown)
    join.add_clicks(clicks_on(shown, [1]))
    released = join.release(LATE)
    assert released.examples is not None and len(released.examples) == 7 and released.examples.label.sum() == 1
    assert released.outcomes is not None and len(released.outcomes) == 6 and released.outcomes.label.sum() == 1


@settings(max_examples=40, deadline=None)
@given(
    cuts=st.lists(st.integers(0, 60), max_size=6),
    copies=st.booleans(),
    emit=st.sampled_from(["at_close", "at_click", "at_once"]),
    restart=st.integers(0, 5),
)
def test_the_result_does_not_depend_on_cuts_copies_or_restarts(
    cuts: list[int], copies: bool, emit: str, restart: int
) -> None:
    shown = exposures(60, seed=3)
    clicked = clicks_on(shown, np.arange(0, 60, 7), after_ms=20 * 60_000)
    watermarks = [HOUR_MS // 2, HOUR_MS, 2 * HOUR_MS, LATE]

    def run(edges: list[int], doubled: bool, restarts: bool) -> ExampleBatch:
        join, found = Join(HOUR_MS, emit), []  # type: ignore[arg-type]
        for step, mark in enumerate(watermarks):
            before = watermarks[step - 1] if step else 0
            for low, high in zip([0, *edges], [*edges, 60], strict=True):
                rows = np.arange(low, high)
                due = rows[(shown.event_time_ms[rows] >= before) & (shown.event_time_ms[rows] < mark)]
                for _ in range(1 + doubled):
                    join.add_exposures(shown.take(due))
            join.add_clicks(clicked.take((clicked.click_time_ms >= before) & (clicked.click_time_ms < mark)))
            released = join.release(mark)
            if released.examples is not None:
                found.append(released.examples)
            if restarts and step == restart:
                state = join.state()
                join = Join(HOUR_MS, emit)  # type: ignore[arg-type]
                join.restore(state)
        return ExampleBatch.concat(found)

    assert same_columns(run([], False, False), run(sorted(cuts), copies, True))


def test_a_negative_window_is_an_error() -> None:
    with pytest.raises(ValueError, match="attribution_ms: got -1"):
        Join(-1)


class _Reference:
    """The join by hand: one event after the other, no index, no order of chunks."""

    def __init__(self, attribution_ms: int) -> None:
        self.window, self.counts, self.before = attribution_ms, JoinCounts(), -(1 << 62)
        self.open: dict[tuple[int, int], bool] = {}  # (event time, id) → clicked
        self.clicks: list[tuple[int, int, int]] = []  # (click time, id, what it says of the exposure's time)

    def release(
        self, shown: list[tuple[int, int]], clicks: list[tuple[int, int, int]], mark: int
    ) -> list[tuple[int, ...]]:
        counts, window = self.counts, self.window
        counts.exposures += len(shown)
        counts.clicks += len(clicks)
        for one in shown:
            if one[0] + window < self.before:
                counts.stale += 1
            elif one in self.open:
                counts.duplicate_exposures += 1
            else:
                self.open[one] = False
        left = []
        for click in sorted(self.clicks + clicks):
            at, name, said = click
            is_due, says_late = at < mark, at - said > window
            mine = [e for e in self.open if e[1] == name]
            inside = [e for e in mine if -EARLY_MS <= at - e[0] <= window]
            if not (is_due or says_late) or (inside and not is_due):
                left.append(click)
            elif inside:
                best = (said, name) if (said, name) in inside else max(inside)
                counts.duplicate_clicks += self.open[best]
                counts.joined += not self.open[best]
                self.open[best] = True
            elif any(at - e[0] > window for e in mine) or (says_late and not mine):
                counts.late += 1
            elif mine:
                counts.early_clicks += 1
            elif at + EARLY_MS + window < mark:
                counts.unknown_clicks += 1
            else:
                left.append(click)
        self.clicks, self.before = left, mark
        closed = sorted(e for e in self.open if e[0] + window < mark)
        return [(*e, int(self.open.pop(e))) for e in closed]


TIMES = st.integers(0, 12).map(lambda n: n * 700)
IDS = st.integers(0, 5)
SHOWN = st.tuples(TIMES, IDS)
CLICKED = st.tuples(TIMES, IDS, TIMES)
TICKS = st.lists(st.tuples(st.lists(SHOWN, max_size=8), st.lists(CLICKED, max_size=8)), min_size=1, max_size=6)


@settings(max_examples=300, deadline=None)
@given(ticks=TICKS, restarts=st.sets(st.integers(0, 5)), step=st.sampled_from([500, 1400, 2600]))
def test_skewed_times_reused_ids_and_clicks_first_join_as_by_hand_whatever_the_restarts(
    ticks: list[tuple[list[tuple[int, int]], list[tuple[int, int, int]]]], restarts: set[int], step: int
) -> None:
    window = 2100
    join, reference = Join(window), _Reference(window)
    for number, (shown, clicks) in enumerate([*ticks, ([], []), ([], [])]):
        mark = step * (number + 1) if number < len(ticks) else step * len(ticks) + (number - len(ticks) + 1) * 20_000
        if shown:
            times, ids = np.array(shown, dtype=np.int64).T
            join.add_exposures(replace(exposures(len(shown)), exposure_id=ids, event_time_ms=times))
        if clicks:
            made, of, said = np.array(clicks, dtype=np.int64).T
            join.add_clicks(ClickBatch(of, said, made))
        found = join.release(mark).examples
        got = (
            []
            if found is None
            else list(
                zip(
                    found.exposures.event_time_ms.tolist(),
                    found.exposure_id.tolist(),
                    found.label.tolist(),
                    strict=True,
                )
            )
        )
        assert got == reference.release(shown, clicks, mark)
        assert join.counts == reference.counts
        if number in restarts:
            state, join = join.state(), Join(window)
            join.restore(state)
