"""What a worker writes: labelled examples, announcements of versions, metrics, dead letters."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from reloop_stream.codec.records import RECORD_OVERHEAD, Payload, dead_letter, encode
from reloop_stream.events import ExampleBatch
from reloop_stream.log import EventLog, Partition, Producer, Record
from reloop_stream.log.topics import Topics
from reloop_stream.stream.event_feed import POLL_S, Dead
from reloop_stream.stream.pending import LoggedClicks

__all__ = ["Outbox"]

logger = logging.getLogger(__name__)


class Outbox:
    """Appends to one partition of the topics that a worker writes; `name` is the key of what it tells."""

    def __init__(self, log: EventLog, topics: Topics, partition: int, name: str) -> None:
        self._log = log
        self._topics = topics
        self._partition = partition
        self._name = name
        self._producer: Producer | None = None
        self._largest: dict[str, int | None] = {}  # record of a topic, in bytes

    def examples(self, batch: ExampleBatch) -> None:
        """Labelled examples, in records that the topic takes."""
        largest = self._max_bytes(self._topics.examples)
        for payload in encode(batch, "arrow"):
            if largest is None or len(payload.value) + RECORD_OVERHEAD <= largest:
                self._append(self._topics.examples, payload)
            elif len(batch) > 1:
                half = len(batch) // 2
                self.examples(batch.part(slice(0, half)))
                self.examples(batch.part(slice(half, None)))
                return
            else:
                logger.warning(
                    "%s: an example of %d bytes is left out, the topic takes %d; raise its max.message.bytes",
                    self._topics.examples, len(payload.value), largest,
                )  # fmt: skip

    def tell(self, topic: str, values: Mapping[str, Any], *, more: bool = False) -> None:
        """Append a JSON object; numbers that are not finite become null. more: see `reloop_stream.log.base.Producer.append`."""
        self._append(topic, Payload(self._name.encode(), msgspec.json.encode(values), {"encoding": b"json"}), more)

    def bury(self, dead: Sequence[Dead]) -> None:
        """Records that could not be read, with their reasons."""
        for record, reason in dead:
            self._bury(record, reason)

    def _bury(self, record: Record, reason: str) -> None:
        topic = self._topics.dead_letters
        self._append(topic, dead_letter(record, reason, self._max_bytes(topic)))

    def _max_bytes(self, topic: str) -> int | None:
        if topic not in self._largest:
            self._largest[topic] = self._log.max_record_bytes(topic)
        return self._largest[topic]

    def bury_clicks(self, unknown: LoggedClicks) -> None:
        """Clicks whose exposure never came: a letter each, with the original bytes of the record that held it."""
        for number in np.unique(unknown.partition).tolist():
            clicks = unknown.take(unknown.partition == number)
            records = self._read_again(Partition(self._topics.clicks, number), clicks.offset)
            for offset, exposure_id in zip(clicks.offset.tolist(), clicks.exposure_id.tolist(), strict=True):
                reason = f"exposure_id: {exposure_id!r} names no exposure whose window holds the click"
                self._bury(records[offset], reason)

    def _read_again(self, partition: Partition, offsets: np.ndarray) -> dict[int, Record]:
        """The records at these offsets, without bytes where they are no longer retained."""
        found = {offset: Record(partition, offset, None, b"", {}) for offset in offsets.tolist()}
        at = max(int(offsets.min()), self._log.begin_offsets([partition])[partition])
        last = int(offsets.max())
        if at > last:
            return found
        reader = self._log.reader({partition: at})
        try:
            while reader.position()[partition] <= last:
                found |= {record.offset: record for record in reader.poll(POLL_S) if record.offset in found}
        finally:
            reader.close()
        return found

    def _append(self, topic: str, payload: Payload, more: bool = False) -> None:
        if self._producer is None:
            self._producer = self._log.producer()
        place = Partition(topic, self._partition)
        self._producer.append(place, payload.value, key=payload.key, headers=payload.headers, more=more)

    def flush(self) -> None:
        """Return when everything can be read."""
        if self._producer is not None:
            self._producer.flush()

    def close(self) -> None:
        if self._producer is not None:
            self._producer.close()
