"""Ticks by event time: the same log gives the same ticks and examples, however it is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reloop_stream.codec.records import Payload, encode, encode_mark
from reloop_stream.events import ClickBatch, ExampleBatch, ExposureBatch, Mark
from reloop_stream.log import Partition
from reloop_stream.log.topics import Topics
from reloop_stream.stream.event_feed import FeedStopped, both_topics
from reloop_stream.stream.event_time_feed import EventTimeFeed, FeedEnded, Ticks
from reloop_stream.stream.example_source import JoinedFeed, JoinedTick
from reloop_stream.stream.partition_joins import JoinSettings
from reloop_stream.testing import ManualClock, MemoryLog, Pause, exposures, same_columns

TOPICS = Topics.of("")
MINUTE_MS = 60_000
ATTRIBUTION_MS = 10 * MINUTE_MS
TICKS = Ticks(tick_ms=MINUTE_MS, attribution_ms=ATTRIBUTION_MS, idle_s=1e9)
JOIN = JoinSettings(ATTRIBUTION_MS)


Letters = dict[Partition, list[Any]]  # what each partition holds, as payloads


def log_of(
    letters: Mapping[Partition, Sequence[Any]], seed: int | None = 0, most: int = 7, **options: Any
) -> MemoryLog:
    """A log of these payloads, which hands them out in pieces and an order that the seed decides."""
    log = MemoryLog(seed=seed, most=most, **options)
    log.create_topics(dict.fromkeys((TOPICS.exposures, TOPICS.clicks), 1 + max(place.number for place in letters)))
    for place, payloads in letters.items():
        for payload in payloads:
            log.append(place, payload)
    return log


def stream(
    seed: int,
    partitions: int,
    encoding: Any = "json",
    disorder_ms: int = 0,
    n: int = 120,
    rows: int = 9,
    skew_ms: int = 0,
    reused: int = 0,
) -> tuple[Letters, ExposureBatch, ClickBatch]:
    """An hour's exposures and clicks on a fifth of them, spread over partitions by id; and these themselves.

    Records lie in the order of their times, each moved by up to `disorder_ms`. What a click says of its exposure's time is
    wrong by up to `skew_ms`, its own time a little; every `reused`-th exposure has the id of the one before it.
    """
    rng = np.random.default_rng(seed)
    shown = exposures(n, seed)
    if reused:
        ids = np.where(np.arange(n) % reused, shown.exposure_id, np.maximum(shown.exposure_id - 1, 0))
        shown = replace(shown, exposure_id=ids)
    at = np.flatnonzero(rng.random(n) < 0.2)
    times = shown.event_time_ms[at]
    made = times + rng.integers(-2000 if skew_ms else 0, 13 * MINUTE_MS, len(at))
    clicked = ClickBatch(shown.exposure_id[at], times + rng.integers(-skew_ms, skew_ms + 1, len(at)), made)
    letters: Letters = {}
    for topic, batch, when in (
        (TOPICS.exposures, shown, shown.event_time_ms),
        (TOPICS.clicks, clicked, clicked.click_time_ms),
    ):
        order = np.argsort(when + rng.integers(0, disorder_ms + 1, len(when)), kind="stable")
        for number in range(partitions):
            mine = batch.take(order[batch.exposure_id[order] % partitions == number])
            partition = Partition(topic, number)
            letters[partition] = encode(mine, encoding, max_rows=rows) if len(mine) else []
    return letters, shown, clicked


def source(
    log: MemoryLog, numbers: Sequence[int], until_end: bool = True, join: JoinSettings = JOIN, **options: Any
) -> JoinedFeed:
    ends = log.end_offsets(both_topics(TOPICS, numbers)) if until_end else None
    feed = EventTimeFeed(log, TOPICS, numbers, options.pop("ticks", TICKS), ends=ends, **options)
    return JoinedFeed(feed, TOPICS, join)


def read(source: JoinedFeed) -> list[JoinedTick]:
    found = []
    try:
        while True:
            found.append(source.next_tick())
    except FeedEnded:
        return found


def all_examples(ticks: Sequence[JoinedTick]) -> ExampleBatch:
    return ExampleBatch.concat([tick.examples for tick in ticks if tick.examples is not None])


def equal(one: Sequence[JoinedTick], other: Sequence[JoinedTick]) -> bool:
    """Whether ticks, examples, dead letters, counts and offsets are the same."""
    return len(one) == len(other) and all(
        (a.tick, a.watermark_ms, a.counts, a.next_offsets, a.dead) == (b.tick, b.watermark_ms, b.counts, b.next_offsets, b.dead)
        and same_columns(a.examples, b.examples)
        for a, b in zip(one, other, strict=True)
    )  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 1000),
    partitions=st.integers(1, 4),
    encoding=st.sampled_from(["json", "arrow"]),
    disorder_ms=st.sampled_from([0, 30_000, 5 * MINUTE_MS]),
    emit=st.sampled_from(["at_close", "at_click", "at_once"]),
    copies=st.booleans(),
    polls=st.integers(0, 1000),
    most=st.integers(2, 60),
)
def test_the_same_log_gives_the_same_ticks_whatever_the_polls(
    seed: int, partitions: int, encoding: str, disorder_ms: int, emit: Any, copies: bool, polls: int, most: int
) -> None:
    letters, shown, _ = stream(seed, partitions, encoding, disorder_ms)
    if copies:  # a producer that sent everything again
        letters = {place: payloads * 2 for place, payloads in letters.items()}
    join = JoinSettings(ATTRIBUTION_MS, emit)
    whole = read(source(log_of(letters, seed=None), range(partitions), join=join))
    choppy = read(source(log_of(letters, polls, most), range(partitions), join=join))
    assert equal(whole, choppy)
    assert [tick.tick for tick in whole] == sorted({tick.tick for tick in whole})
    counts = whole[-1].counts
    assert counts.exposures == len(shown) * (1 + copies)
    assert counts.duplicate_exposures + counts.stale >= len(shown) * copies


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 1000),
    encoding=st.sampled_from(["json", "arrow"]),
    cuts=st.lists(st.integers(0, 60), min_size=1, max_size=3),
    skew_ms=st.sampled_from([0, 1, 3000, 40 * MINUTE_MS]),
    reused=st.sampled_from([0, 3]),
    emit=st.sampled_from(["at_close", "at_click", "at_once"]),
)
def test_going_on_from_the_states_of_a_tick_equals_never_having_stopped(
    seed: int, encoding: str, cuts: list[int], skew_ms: int, reused: int, emit: Any
) -> None:
    letters, _, _ = stream(seed, 3, encoding, disorder_ms=60_000, skew_ms=skew_ms, reused=reused)
    join = JoinSettings(ATTRIBUTION_MS, emit)
    whole = read(source(log_of(letters, 1), range(3), join=join))
    found: list[JoinedTick] = []
    part = source(log_of(letters, 2), range(3), join=join)
    for number, stop in enumerate(sorted({cut % len(whole) for cut in cuts})):
        found += [part.next_tick() for _ in range(stop + 1 - len(found))]
        again = source(log_of(letters, 3 + number), range(3), join=join)
        again.restore(found[-1].tick, part.states())
        part = again
    assert equal([*found, *read(part)], whole)


def test_labels_are_those_of_a_join_by_hand() -> None:
    letters, shown, clicked = stream(5, 3)
    found = all_examples(read(source(log_of(letters), range(3))))
    in_time = clicked.exposure_id[clicked.click_time_ms - clicked.event_time_ms <= ATTRIBUTION_MS]
    end_ms = max(
        int(shown.event_time_ms.max()),
        int(np.minimum(clicked.click_time_ms, clicked.event_time_ms + ATTRIBUTION_MS).max()),
    )
    watermark_ms = (end_ms // MINUTE_MS + 1) * MINUTE_MS
    closed = shown.take(shown.event_time_ms + ATTRIBUTION_MS < watermark_ms)
    assert found.exposure_id.tolist() == closed.exposure_id.tolist()  # in the order of label times
    assert found.exposure_id[found.label == 1].tolist() == [i for i in closed.exposure_id.tolist() if i in in_time]


@pytest.mark.parametrize("partitions", [1, 2, 3])
def test_how_many_partitions_carry_the_stream_changes_no_example(partitions: int) -> None:
    whole = all_examples(read(source(log_of(stream(7, 4)[0]), range(4))))
    other = all_examples(read(source(log_of(stream(7, partitions)[0]), range(partitions))))
    assert same_columns(whole, other)


def one_partition(times: Sequence[int], first_id: int = 0, number: int = 0) -> Letters:
    """A partition number whose exposures have these times, and no clicks."""
    shown = exposures(len(times), first_id=first_id, event_time_ms=np.array(times, dtype=np.int64))
    return {Partition(TOPICS.exposures, number): encode(shown, "json"), Partition(TOPICS.clicks, number): []}


def stop_after(polls: int) -> Any:
    calls = iter(range(polls))
    return lambda: next(calls, None) is None


EXPOSURES, CLICKS = Partition(TOPICS.exposures, 0), Partition(TOPICS.clicks, 0)


def test_a_tick_ends_when_every_partition_has_moved_past_it() -> None:
    shown = exposures(3, event_time_ms=np.array([0, MINUTE_MS, 5 * MINUTE_MS]))
    clicked = ClickBatch(shown.exposure_id[:2], shown.event_time_ms[:2], shown.event_time_ms[:2] + 10)
    letters = {EXPOSURES: encode(shown, "json"), CLICKS: encode(clicked, "json")}
    waiting = source(log_of(letters), [0], until_end=False, should_stop=stop_after(50))
    assert waiting.next_tick().tick == 0
    with pytest.raises(FeedStopped):  # the clicks may still bring one of minute 1
        waiting.next_tick()


def test_a_silent_partition_is_waited_for_as_long_as_it_may_be_silent_and_no_longer() -> None:
    letters = one_partition([0, MINUTE_MS, 9 * MINUTE_MS])
    clock = ManualClock()
    patience = TICKS._replace(idle_s=30.0)
    found = source(log_of(letters, clock=clock), [0], until_end=False, ticks=patience, clock=clock)
    assert found.next_tick().tick == 0 and 30 <= clock() < 31
    assert found.next_tick().tick == 1 and clock() < 31  # and 2 to 8 hold nothing


def test_silence_everywhere_ends_nothing() -> None:
    clock = ManualClock()
    letters = one_partition([0, MINUTE_MS])
    found = source(
        log_of(letters, clock=clock), [0], until_end=False, ticks=TICKS._replace(idle_s=30.0), clock=clock,
        should_stop=lambda: clock() > 3600,
    )  # fmt: skip
    assert found.next_tick().tick == 0
    with pytest.raises(FeedStopped):  # nobody has moved past minute 1
        found.next_tick()
    assert clock() > 3600


def test_what_comes_from_a_partition_taken_for_idle_belongs_to_the_next_tick() -> None:
    minutes = one_partition([minute * MINUTE_MS for minute in range(6)])[EXPOSURES]
    growing = log_of({**one_partition([]), **one_partition([], number=1), EXPOSURES: minutes[:3]}, seed=None)
    found = source(growing, [0, 1], until_end=False, ticks=TICKS._replace(idle_s=0.0))
    assert [found.next_tick().tick for _ in range(2)] == [0, 1]
    (late,) = one_partition([10], first_id=99, number=1)[Partition(TOPICS.exposures, 1)]
    growing.append(Partition(TOPICS.exposures, 1), late)
    for payload in minutes[3:]:
        growing.append(EXPOSURES, payload)
    following = found.next_tick()
    assert following.tick == 2 and following.counts.exposures == 3 + 1


def test_a_pause_of_the_log_changes_no_tick() -> None:
    letters, _, _ = stream(3, 2)
    whole = read(source(log_of(letters), range(2)))
    pausing = MemoryLog()
    pausing.create_topics(dict.fromkeys((TOPICS.exposures, TOPICS.clicks), 2))
    for place, payloads in letters.items():
        for number, payload in enumerate(payloads):
            if number % 5 == 0:
                pausing.cue(place, Pause(polls=1 + number % 3))
            pausing.append(place, payload)
    assert equal(read(source(pausing, range(2))), whole)


def test_marks_move_the_clock_of_their_partition() -> None:
    letters = one_partition([0, 3 * MINUTE_MS])
    letters[CLICKS] = [encode_mark(Mark(7, 2 * MINUTE_MS))]
    found = source(log_of(letters), [0], until_end=False, should_stop=stop_after(50))
    assert found.next_tick().tick == 0
    with pytest.raises(FeedStopped):
        found.next_tick()


def test_an_arrow_record_that_spans_ticks_belongs_to_that_of_its_first_event() -> None:
    shown = exposures(3, event_time_ms=np.array([10, MINUTE_MS + 10, 30 * MINUTE_MS]))
    clicked = ClickBatch(shown.exposure_id[:2], shown.event_time_ms[:2], shown.event_time_ms[:2] + 10)
    letters = {EXPOSURES: encode(shown, "arrow"), CLICKS: encode(clicked, "arrow")}
    first, *rest = read(source(log_of(letters), [0]))
    assert first.tick == 0 and first.counts.exposures == 3 and first.counts.clicks == 2 and rest == []


def test_a_click_with_a_clock_years_ahead_ends_no_tick_beyond_its_window() -> None:
    shown = exposures(2, event_time_ms=np.array([0, MINUTE_MS]))
    wrong = ClickBatch(np.array([0]), np.array([0]), np.array([10**13]))
    right = ClickBatch(np.array([1]), np.array([MINUTE_MS]), np.array([MINUTE_MS + 5]))
    letters = {EXPOSURES: encode(shown, "json"), CLICKS: [*encode(right, "json"), *encode(wrong, "json")]}
    last = read(source(log_of(letters), [0]))[-1]
    assert last.watermark_ms <= ATTRIBUTION_MS + MINUTE_MS and last.counts.late == 1


def test_an_unreadable_record_is_dead_in_the_tick_it_lies_in_and_moves_no_clock() -> None:
    letters = one_partition([0, MINUTE_MS, 2 * MINUTE_MS])
    letters[EXPOSURES].insert(1, Payload(b"k", b"\xff?", {}))
    ticks = read(source(log_of(letters), [0]))
    assert [[dead.record.value for dead in tick.dead] for tick in ticks] == [[b"\xff?"], [], []]
    assert [tick.next_offsets[EXPOSURES] for tick in ticks] == [2, 3, 4]


def test_a_partition_far_ahead_of_the_others_is_read_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reloop_stream.stream.event_time_feed.READ_AHEAD", 10)
    letters = {**one_partition(list(range(0, 200 * MINUTE_MS, MINUTE_MS))), **one_partition([], number=1)}
    feed = EventTimeFeed(log_of(letters, most=8), TOPICS, [0, 1], TICKS, should_stop=stop_after(200))
    with pytest.raises(FeedStopped):
        feed.next_tick()
    assert feed._reader is not None and feed._reader.position()[EXPOSURES] < 30


def test_a_partition_ahead_of_the_others_waits_once_its_bytes_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reloop_stream.stream.event_time_feed.READ_AHEAD_BYTES", 8_000)
    letters, *_ = stream(3, partitions=1)
    log = MemoryLog(seed=0)
    shown, clicks = Partition(TOPICS.exposures, 0), Partition(TOPICS.clicks, 0)
    log.create_topics(dict.fromkeys((shown.topic, clicks.topic), 1))
    log.cue(clicks, Pause(10_000))
    for payload in letters[shown]:
        log.append(shown, payload)
    feed = EventTimeFeed(log, TOPICS, [0], TICKS)
    for _ in range(300):
        feed.poll(0.0)
    read = sum(len(payload.value) for payload in letters[shown][: feed._position()[shown]])
    assert 8_000 <= read < 12_000 < sum(len(payload.value) for payload in letters[shown])


def test_dead_letters_that_wait_lose_their_bytes_beyond_a_bound_and_none_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("reloop_stream.stream.event_time_feed.DEAD_BYTES", 1000)
    letters, *_ = stream(3, partitions=1)
    place = Partition(TOPICS.exposures, 0)
    letters[place] = [*[Payload(None, b"{" * 300, {})] * 8, *letters[place]]
    dead = [one for tick in read(source(log_of(letters), [0])) for one in tick.dead]
    assert [one.record.offset for one in dead] == list(range(8))
    assert [len(one.record.value) for one in dead] == [300] * 3 + [0] * 5
    assert dead[-1].reason.endswith("(its bytes were too many to keep)")
