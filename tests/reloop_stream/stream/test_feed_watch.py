"""What is said while a stream is read: dead letters, silence and wrong clocks, once and then rarely."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from reloop_stream.clock import HOUR_MS
from reloop_stream.codec.records import decode, encode
from reloop_stream.log import Partition, Record
from reloop_stream.log.topics import Topics
from reloop_stream.stream.event_feed import Dead
from reloop_stream.stream.feed_watch import QUIET_S, FeedWatch
from reloop_stream.testing import ManualClock, exposures

TOPICS = Topics.of("")
PLACE = Partition("exposures", 0)
AT_MS = 1_700_000_000_000


def records(times: np.ndarray, timestamp_ms: int | None = None) -> list[Record]:
    payloads = encode(exposures(len(times), event_time_ms=times), "json")
    return [Record(PLACE, i, p.key, p.value, p.headers, timestamp_ms) for i, p in enumerate(payloads)]


def poll(watch: FeedWatch, found: list[Record]) -> None:
    decoded = decode(found, "exposure", lambda record, reason: watch.buried(Dead(record, reason)))
    watch.polled(found, decoded)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    def take() -> list[str]:
        found = [record.getMessage() for record in caplog.records]
        caplog.clear()
        return found

    return take


def with_dead(n: int, dead: int) -> list[Record]:
    good = records(AT_MS + np.arange(n))
    return [Record(PLACE, i, None, b"{", {}) if i < dead else record for i, record in enumerate(good)]


def test_more_than_one_dead_letter_in_a_hundred_is_said_once_and_then_rarely(
    clock: ManualClock, said: Callable[[], list[str]]
) -> None:
    watch = FeedWatch(TOPICS, None, clock)
    poll(watch, with_dead(200, 2))
    assert said() == []
    poll(watch, with_dead(200, 4))
    (line,) = said()
    assert line.startswith("6 of 400 records are dead letters, the last one exposures[0] offset 3: json: ")
    poll(watch, with_dead(200, 100))
    assert said() == []
    clock.advance(700)
    poll(watch, with_dead(200, 0))
    assert said()[0].startswith("100 of 400 records are dead")


def test_at_the_end_a_short_stream_s_dead_letters_are_said_too(
    clock: ManualClock, said: Callable[[], list[str]]
) -> None:
    watch = FeedWatch(TOPICS, None, clock)
    poll(watch, with_dead(5, 1))
    assert said() == []
    watch.ended()
    assert said()[0].startswith("1 of 5 records are dead letters")


def test_a_time_far_beyond_its_neighbours_is_named_where_the_log_knows_no_other(
    clock: ManualClock, said: Callable[[], list[str]]
) -> None:
    times = AT_MS + np.arange(20)
    times[7] += 30 * HOUR_MS
    watch = FeedWatch(TOPICS, HOUR_MS, clock)
    poll(watch, records(times, timestamp_ms=AT_MS))
    assert said() == []  # what is too far ahead of its own record's time never gets here
    poll(watch, records(times))
    (line,) = said()
    assert line.startswith("exposures[0] offset 7: its event_time_ms, 2023-11-16 04:13:20, lies 1800 minutes beyond")


def test_silence_is_said_after_a_minute(clock: ManualClock, said: Callable[[], list[str]]) -> None:
    watch = FeedWatch(TOPICS, None, clock)
    clock.advance(QUIET_S + 1)
    watch.polled([], [])
    watch.polled([], [])
    assert said() == ["nothing has come in exposures or clicks for 61 s; waiting"]
