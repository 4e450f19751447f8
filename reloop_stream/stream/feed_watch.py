"""What is odd about a stranger's stream while it is read, said once and then rarely: dead letters, silence, clocks."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

import numpy as np

from reloop_stream.clock import doubt_of, shown
from reloop_stream.codec.records import Decoded
from reloop_stream.events import ExposureBatch
from reloop_stream.log import Partition, Record
from reloop_stream.log.topics import Topics
from reloop_stream.runtime.rarely import Rarely
from reloop_stream.stream.event_feed import Dead

__all__ = ["FeedWatch", "place_of"]

logger = logging.getLogger(__name__)

DEAD_SHARE = 0.01  # of the records; fewer are the lot of any stream
LEAST_RECORDS = 100  # before a share says something
QUIET_S = 60.0  # without a record
NEIGHBOURS = 5  # exposures of one poll whose median says what time it is


def place_of(partition: Partition, offset: int) -> str:
    """How a record is named to people.

    >>> place_of(Partition("clicks", 2), 17)
    'clicks[2] offset 17'
    """
    return f"{partition.topic}[{partition.number}] offset {offset}"


class FeedWatch:
    """Told of every poll. Costs a sum over the records, and a median of the times that one poll brings."""

    def __init__(self, topics: Topics, max_ahead_ms: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._topics = topics
        self._max_ahead_ms = max_ahead_ms
        self._clock = clock
        self._rarely = Rarely(clock)
        self._heard = clock()
        self._records = 0
        self._dead = 0
        self._example: Dead | None = None

    def buried(self, dead: Dead) -> None:
        self._dead += 1
        self._example = dead

    def polled(self, records: Sequence[Record], decoded: Sequence[Decoded]) -> None:
        """What one poll brought, after its dead letters were told."""
        if not records:
            if self._clock() - self._heard > QUIET_S and self._rarely.is_due("quiet"):
                logger.warning(
                    "nothing has come in %s or %s for %.0f s; waiting",
                    self._topics.exposures, self._topics.clicks, self._clock() - self._heard,
                )  # fmt: skip
            return
        self._heard = self._clock()
        self._records += len(records)
        if self._records >= LEAST_RECORDS:
            self._say_dead()
        if self._max_ahead_ms is not None and any(record.timestamp_ms is None for record in records):
            self._look_for_wrong_clocks(decoded, self._max_ahead_ms)

    def ended(self) -> None:
        """Nothing more will come."""
        self._say_dead()

    def _say_dead(self) -> None:
        if self._example is None or self._dead <= DEAD_SHARE * self._records or not self._rarely.is_due("dead"):
            return
        record, reason = self._example
        logger.warning(
            "%d of %d records are dead letters, the last one %s: %s; they go to %s with their reasons",
            self._dead, self._records, place_of(record.partition, record.offset), reason[:300],
            self._topics.dead_letters,
        )  # fmt: skip
        self._records = self._dead = 0
        self._example = None

    def _look_for_wrong_clocks(self, decoded: Sequence[Decoded], max_ahead_ms: int) -> None:
        """Only Kafka tells when a record was written; elsewhere an event's neighbours say what time it was."""
        for item in decoded:
            if not isinstance(item.batch, ExposureBatch) or len(item.batch) < NEIGHBOURS:
                continue
            times = item.batch.event_time_ms
            row = int(np.argmax(times))
            ahead_ms = int(times[row] - np.median(times))
            if ahead_ms > max_ahead_ms and self._rarely.is_due("clock"):
                doubt = doubt_of(int(times[row]))
                logger.warning(
                    "%s: its event_time_ms, %s, lies %.0f minutes beyond its neighbours'; the partition's clock now stands "
                    "there, and what follows comes too late for it%s",
                    place_of(item.partition, int(item.offsets[row])), shown(int(times[row])), ahead_ms / 60_000,
                    f" ({doubt})" if doubt else "",
                )  # fmt: skip
