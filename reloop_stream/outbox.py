"""What a worker writes: labelled examples, announcements of versions, metrics, dead letters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from reloop_stream.events import ExampleBatch
from reloop_stream.feed import Dead
from reloop_stream.join import LoggedClicks
from reloop_stream.log import EventLog, OffsetOutOfRange, Partition, Producer, Record
from reloop_stream.log.codec import Payload, dead_letter, encode
from reloop_stream.log.topics import Topics

__all__ = ["Outbox"]

READ_AGAIN_S = 5.0  # to fetch a record that was read before


class Outbox:
    """Appends to one partition of the topics that a worker writes; `name` is the key of what it tells."""

    def __init__(self, log: EventLog, topics: Topics, partition: int, name: str) -> None:
        self._log = log
        self._topics = topics
        self._partition = partition
        self._name = name
        self._producer: Producer | None = None

    def examples(self, batch: ExampleBatch) -> None:
        for payload in encode(batch, "arrow"):
            self._append(self._topics.examples, payload)

    def tell(self, topic: str, values: Mapping[str, Any]) -> None:
        """Append a JSON object; numbers that are not finite become null."""
        self._append(topic, Payload(self._name.encode(), msgspec.json.encode(values), {"encoding": b"json"}))

    def bury(self, dead: Sequence[Dead]) -> None:
        """Records that could not be read, with their reasons."""
        for record, reason in dead:
            self._append(self._topics.dead_letters, dead_letter(record, reason))

    def bury_clicks(self, unknown: LoggedClicks) -> None:
        """Clicks whose exposure never came: a letter each, with the original bytes of the record that held it."""
        topic = self._topics.clicks
        records: dict[Partition, dict[int, Record]] = {}
        places = zip(unknown.partition.tolist(), unknown.offset.tolist(), unknown.exposure_id.tolist(), strict=True)
        for number, offset, exposure_id in places:
            known = records.setdefault(Partition(topic, number), {})
            if offset not in known:
                known[offset] = self._read_again(Partition(topic, number), offset)
            reason = f"exposure_id: {exposure_id!r} names no exposure at the click's event_time_ms"
            self._append(self._topics.dead_letters, dead_letter(known[offset], reason))

    def _read_again(self, partition: Partition, offset: int) -> Record:
        """The record at an offset, with no bytes where they are no longer retained."""
        gone = Record(partition, offset, None, b"", {})
        try:
            reader = self._log.reader({partition: offset})
        except OffsetOutOfRange:
            return gone
        try:
            found = reader.poll(timeout_s=READ_AGAIN_S, max_records=1)
        finally:
            reader.close()
        return found[0] if found else gone

    def _append(self, topic: str, payload: Payload) -> None:
        if self._producer is None:
            self._producer = self._log.producer()
        place = Partition(topic, self._partition)
        self._producer.append(place, payload.value, key=payload.key, headers=payload.headers)

    def flush(self) -> None:
        """Return when everything can be read."""
        if self._producer is not None:
            self._producer.flush()

    def close(self) -> None:
        if self._producer is not None:
            self._producer.close()
