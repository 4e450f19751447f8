"""Ticks by event time: the same log gives the same ticks and examples, however it is read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reloop_stream.codec.records import encode, encode_mark
from reloop_stream.events import ClickBatch, ExampleBatch, ExposureBatch, Mark
from reloop_stream.log import Partition, Record
from reloop_stream.log.topics import Topics
from reloop_stream.stream.event_feed import FeedStopped
from reloop_stream.stream.event_time_feed import EventTimeFeed, FeedEnded, Ticks
from reloop_stream.stream.example_source import JoinedFeed, JoinedTick
from reloop_stream.stream.partition_joins import JoinSettings
from tests.batches import exposures, same

TOPICS = Topics.of("")
MINUTE_MS = 60_000
ATTRIBUTION_MS = 10 * MINUTE_MS
TICKS = Ticks(tick_ms=MINUTE_MS, attribution_ms=ATTRIBUTION_MS, idle_s=1e9)
JOIN = JoinSettings(ATTRIBUTION_MS)


class ListLog:
    """A log of records in memory, which hands them out in pieces and an order that a seed decides."""

    def __init__(self, records: Mapping[Partition, Sequence[Record]], seed: int = 0, most: int = 7) -> None:
        self.records = records
        self.rng = np.random.default_rng(seed)
        self.most = most

    def begin_offsets(self, partitions: Sequence[Partition]) -> dict[Partition, int]:
        return dict.fromkeys(partitions, 0)

    def ends(self) -> dict[Partition, int]:
        return {partition: len(records) for partition, records in self.records.items()}

    def reader(self, offsets: Mapping[Partition, int]) -> ListReader:
        return ListReader(self, dict(offsets))


class ListReader:
    def __init__(self, log: ListLog, offsets: dict[Partition, int]) -> None:
        self.log, self.offsets = log, offsets
        self.paused: Collection[Partition] = ()

    def pause(self, partitions: Collection[Partition]) -> None:
        self.paused = partitions

    def poll(self, timeout_s: float = 0.0, max_records: int = 5000) -> list[Record]:
        unread = [p for p, at in self.offsets.items() if at < len(self.log.records[p]) and p not in self.paused]
        found: list[Record] = []
        for partition in self.log.rng.permutation(np.array(unread, dtype=object)).tolist() if unread else ():
            partition = Partition(*partition)
            n = int(self.log.rng.integers(0, self.log.most))
            found += self.log.records[partition][self.offsets[partition] :][:n]
            self.offsets[partition] = min(self.offsets[partition] + n, len(self.log.records[partition]))
        return found

    def position(self) -> dict[Partition, int]:
        return dict(self.offsets)

    def close(self) -> None: ...


def records(partition: Partition, payloads: Sequence[Any]) -> list[Record]:
    return [Record(partition, at, p.key, p.value, p.headers) for at, p in enumerate(payloads)]


def stream(
    seed: int, partitions: int, encoding: Any = "json", disorder_ms: int = 0, n: int = 120, rows: int = 9
) -> tuple[dict[Partition, list[Record]], ExposureBatch, ClickBatch]:
    """An hour's exposures and clicks on a fifth of them, spread over partitions by id; and these themselves.

    Records lie in the order of their times, each moved by up to `disorder_ms`.
    """
    rng = np.random.default_rng(seed)
    shown = exposures(n, seed)
    at = np.flatnonzero(rng.random(n) < 0.2)
    times = shown.event_time_ms[at]
    clicked = ClickBatch(shown.exposure_id[at], times, times + rng.integers(0, 1.3 * ATTRIBUTION_MS, len(at)))
    log: dict[Partition, list[Record]] = {}
    for topic, batch, when in (
        (TOPICS.exposures, shown, shown.event_time_ms),
        (TOPICS.clicks, clicked, clicked.click_time_ms),
    ):
        order = np.argsort(when + rng.integers(0, disorder_ms + 1, len(when)), kind="stable")
        for number in range(partitions):
            mine = batch.take(order[batch.exposure_id[order] % partitions == number])
            partition = Partition(topic, number)
            log[partition] = records(partition, encode(mine, encoding, max_rows=rows) if len(mine) else [])
    return log, shown, clicked


def source(
    log: ListLog, numbers: Sequence[int], until_end: bool = True, join: JoinSettings = JOIN, **options: Any
) -> JoinedFeed:
    ends = log.ends() if until_end else None
    feed = EventTimeFeed(log, TOPICS, numbers, options.pop("ticks", TICKS), ends=ends, **options)  # type: ignore[arg-type]
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
        and same(a.examples, b.examples)
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
    log, shown, _ = stream(seed, partitions, encoding, disorder_ms)
    if copies:  # a producer that sent everything again
        log = {p: [Record(p, i, *r) for i, r in enumerate((r.key, r.value, r.headers) for r in rs * 2)]
               for p, rs in log.items()}  # fmt: skip
    join = JoinSettings(ATTRIBUTION_MS, emit)
    whole = read(source(ListLog(log, 0, 1000), range(partitions), join=join))
    choppy = read(source(ListLog(log, polls, most), range(partitions), join=join))
    assert equal(whole, choppy)
    assert [tick.tick for tick in whole] == sorted({tick.tick for tick in whole})
    counts = whole[-1].counts
    assert counts.exposures == len(shown) * (1 + copies)
    assert counts.duplicate_exposures + counts.stale >= len(shown) * copies


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), encoding=st.sampled_from(["json", "arrow"]), cut=st.integers(0, 60))
def test_going_on_from_the_states_of_a_tick_equals_never_having_stopped(seed: int, encoding: str, cut: int) -> None:
    log, _, _ = stream(seed, 3, encoding, disorder_ms=60_000)
    whole = read(source(ListLog(log, 1), range(3)))
    cut = cut % len(whole)
    first = source(ListLog(log, 2), range(3))
    head = [first.next_tick() for _ in range(cut + 1)]
    again = source(ListLog(log, 3), range(3))
    again.restore(head[-1].tick, first.states())
    assert equal([*head, *read(again)], whole)


def test_labels_are_those_of_a_join_by_hand() -> None:
    log, shown, clicked = stream(5, 3)
    found = all_examples(read(source(ListLog(log), range(3))))
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
    whole = all_examples(read(source(ListLog(stream(7, 4)[0]), range(4))))
    other = all_examples(read(source(ListLog(stream(7, partitions)[0]), range(partitions))))
    assert same(whole, other)


def one_partition(times: Sequence[int], first_id: int = 0, number: int = 0) -> dict[Partition, list[Record]]:
    """A partition number whose exposures have these times, and no clicks."""
    shown = exposures(len(times), first_id=first_id, event_time_ms=np.array(times, dtype=np.int64))
    place = Partition(TOPICS.exposures, number)
    return {place: records(place, encode(shown, "json")), Partition(TOPICS.clicks, number): []}


def stop_after(polls: int) -> Any:
    calls = iter(range(polls))
    return lambda: next(calls, None) is None


def test_a_tick_ends_when_every_partition_has_moved_past_it() -> None:
    shown = exposures(3, event_time_ms=np.array([0, MINUTE_MS, 5 * MINUTE_MS]))
    clicked = ClickBatch(shown.exposure_id[:2], shown.event_time_ms[:2], shown.event_time_ms[:2] + 10)
    places = Partition(TOPICS.exposures, 0), Partition(TOPICS.clicks, 0)
    log = {p: records(p, encode(b, "json")) for p, b in zip(places, (shown, clicked), strict=True)}  # type: ignore[arg-type]
    waiting = source(ListLog(log), [0], until_end=False, should_stop=stop_after(50))
    assert waiting.next_tick().tick == 0
    with pytest.raises(FeedStopped):  # the clicks may still bring one of minute 1
        waiting.next_tick()


def test_a_silent_partition_is_not_waited_for_once_it_has_been_idle() -> None:
    log = one_partition([0, MINUTE_MS, 9 * MINUTE_MS])
    impatient = TICKS._replace(idle_s=0.0)
    found = source(ListLog(log), [0], until_end=False, ticks=impatient, should_stop=stop_after(50))
    assert [found.next_tick().tick for _ in range(2)] == [0, 1]  # and 2 to 8 hold nothing
    with pytest.raises(FeedStopped):  # nobody has moved past minute 9: nothing ends by silence alone
        found.next_tick()


def test_what_comes_from_a_partition_taken_for_idle_belongs_to_the_next_tick() -> None:
    log = {**one_partition([0, MINUTE_MS, 2 * MINUTE_MS, 3 * MINUTE_MS]), **one_partition([], number=1)}
    late = one_partition([10], first_id=99, number=1)[Partition(TOPICS.exposures, 1)]
    growing = ListLog(log, most=2)
    impatient = TICKS._replace(idle_s=0.0)
    found = source(growing, [0, 1], until_end=False, ticks=impatient)
    assert [found.next_tick().tick for _ in range(2)] == [0, 1]
    log[Partition(TOPICS.exposures, 1)].extend(late)
    following = found.next_tick()
    assert following.tick == 2 and following.counts.exposures == 4


def test_marks_move_the_clock_of_their_partition() -> None:
    log = one_partition([0, 3 * MINUTE_MS])
    clicks = Partition(TOPICS.clicks, 0)
    log[clicks] = records(clicks, [encode_mark(Mark(7, 2 * MINUTE_MS))])
    found = source(ListLog(log), [0], until_end=False, should_stop=stop_after(50))
    assert found.next_tick().tick == 0
    with pytest.raises(FeedStopped):
        found.next_tick()


def test_an_arrow_record_that_spans_ticks_belongs_to_that_of_its_first_event() -> None:
    shown = exposures(3, event_time_ms=np.array([10, MINUTE_MS + 10, 30 * MINUTE_MS]))
    clicked = ClickBatch(shown.exposure_id[:2], shown.event_time_ms[:2], shown.event_time_ms[:2] + 10)
    log = {}
    for topic, batch in ((TOPICS.exposures, shown), (TOPICS.clicks, clicked)):
        log[Partition(topic, 0)] = records(Partition(topic, 0), encode(batch, "arrow"))
    first, *rest = read(source(ListLog(log), [0]))
    assert first.tick == 0 and first.counts.exposures == 3 and first.counts.clicks == 2 and rest == []


def test_a_click_with_a_clock_years_ahead_ends_no_tick_beyond_its_window() -> None:
    shown = exposures(2, event_time_ms=np.array([0, MINUTE_MS]))
    wrong = ClickBatch(np.array([0]), np.array([0]), np.array([10**13]))
    right = ClickBatch(np.array([1]), np.array([MINUTE_MS]), np.array([MINUTE_MS + 5]))
    places = Partition(TOPICS.exposures, 0), Partition(TOPICS.clicks, 0)
    log = {places[0]: records(places[0], encode(shown, "json"))}
    log[places[1]] = records(places[1], [*encode(right, "json"), *encode(wrong, "json")])
    last = read(source(ListLog(log), [0]))[-1]
    assert last.watermark_ms <= ATTRIBUTION_MS + MINUTE_MS and last.counts.late == 1


def test_an_unreadable_record_is_dead_in_the_tick_it_lies_in_and_moves_no_clock() -> None:
    log = one_partition([0, MINUTE_MS, 2 * MINUTE_MS])
    place = Partition(TOPICS.exposures, 0)
    broken = Record(place, 1, b"k", b"\xff?", {})
    log[place] = [
        log[place][0],
        broken,
        *(Record(place, r.offset + 1, r.key, r.value, r.headers) for r in log[place][1:]),
    ]
    ticks = read(source(ListLog(log), [0]))
    assert [[dead.record.value for dead in tick.dead] for tick in ticks] == [[b"\xff?"], [], []]
    assert [tick.next_offsets[place] for tick in ticks] == [2, 3, 4]


def test_a_partition_far_ahead_of_the_others_is_read_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reloop_stream.stream.event_time_feed.READ_AHEAD", 10)
    log = {**one_partition(list(range(0, 200 * MINUTE_MS, MINUTE_MS))), **one_partition([], number=1)}
    behind = ListLog(log, most=8)
    feed = EventTimeFeed(behind, TOPICS, [0, 1], TICKS, should_stop=stop_after(200))  # type: ignore[arg-type]
    with pytest.raises(FeedStopped):
        feed.next_tick()
    assert feed._reader is not None and feed._reader.position()[Partition(TOPICS.exposures, 0)] < 30
