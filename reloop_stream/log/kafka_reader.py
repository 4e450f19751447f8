"""Reading from Kafka: assigned partitions, positions that we keep ourselves, and a look now and then whether the broker is there."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import kafka.errors as errors
from kafka.structs import TopicPartition

from reloop_stream.errors import OffsetOutOfRange
from reloop_stream.log.base import Partition, Record
from reloop_stream.log.kafka_cluster import AWAY, CALL_MS, MAX_RECORD_BYTES, REFUSED, KafkaCluster, client_name

__all__ = ["KafkaReader"]

logger = logging.getLogger(__name__)

# A fetch costs both sides work, however little it brings: the broker holds it until there is about half a tick of a large run, or
# for so long. Twice as much and half as long again took 12% less of a core an exposure than answering with whatever is there (median
# of four runs); less was as good, and in a small run a tick comes at most so much later. A partition that is resumed waits too.
FETCH_BYTES = 150_000
FETCH_WAIT_MS = 20
PROBE_AFTER_S = 2.0  # without a record; a poll of a dead broker is as silent as that of an idle one


def _record(partition: Partition, raw: Any) -> Record:
    """A record of kafka-python's; a value or a header that is null there is empty here."""
    headers = {name: content or b"" for name, content in raw.headers or ()}
    written_ms = raw.timestamp if raw.timestamp is not None and raw.timestamp >= 0 else None
    return Record(partition, raw.offset, raw.key, raw.value or b"", headers, written_ms)


class KafkaReader:
    """See `reloop_stream.log.base.Reader`."""

    def __init__(self, cluster: KafkaCluster, offsets: Mapping[Partition, int]) -> None:
        self._cluster = cluster
        self._position = dict(offsets)
        self._names = {client_name(partition): partition for partition in offsets}
        self._heard = time.monotonic()
        self._silent_since: float | None = None
        self._client = cluster.patiently(self._connect)

    def _connect(self) -> Any:
        client = self._cluster.consumer(
            auto_offset_reset="none",
            max_partition_fetch_bytes=MAX_RECORD_BYTES,
            fetch_min_bytes=FETCH_BYTES,
            fetch_max_wait_ms=FETCH_WAIT_MS,
        )
        client.assign(list(self._names))
        for partition, offset in self._position.items():
            client.seek(client_name(partition), offset)
        return client

    def poll(self, timeout_s: float = 0.0, max_records: int = 5000) -> list[Record]:
        found: dict[TopicPartition, list[Any]] = {}
        with self._explained(), contextlib.suppress(*AWAY):
            found = self._client.poll(timeout_ms=int(timeout_s * 1000), max_records=max_records)
        records = [_record(self._names[tp], raw) for tp, raws in found.items() for raw in raws]
        for record in records:
            self._position[record.partition] = record.offset + 1
        self._pass_over(self._names.keys() - found.keys())
        if records:
            self._heard, self._silent_since = time.monotonic(), None
        elif time.monotonic() - self._heard > PROBE_AFTER_S:
            self._probe()
        return records

    def _pass_over(self, silent: Iterable[TopicPartition]) -> None:
        """What is no record to a reader has offsets too: a transaction's marker, what was taken back, what compaction left
        out. The client's position is beyond them, so that reading comes to the end."""
        with self._explained(), contextlib.suppress(*AWAY):
            for tp in silent:
                at, partition = self._client.position(tp, timeout_ms=0), self._names[tp]
                self._position[partition] = max(self._position[partition], at or 0)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (errors.OffsetOutOfRangeError, errors.NoOffsetForPartitionError, errors.LogTruncationError) as error:
            raise OffsetOutOfRange(f"{error}; the broker deleted what was still to be read") from None
        except REFUSED as error:
            raise self._cluster.refused(error) from None
        except errors.KafkaError as error:
            raise self._cluster.failed(error) from None

    def _probe(self) -> None:
        """Nothing has come for a while: is the broker there? Raises LogUnavailable when it has been gone too long."""
        asked, patience_s = time.monotonic(), self._cluster.unavailable_after_s
        self._heard = asked
        if not self._names:
            return
        try:
            self._client.end_offsets(list(self._names), timeout_ms=min(CALL_MS, int(1000 * patience_s)))
        except AWAY as error:
            if self._silent_since is None:
                self._silent_since = asked
                logger.warning("%s does not answer; waiting up to %g s", self._cluster.address, patience_s)
            if time.monotonic() - self._silent_since >= patience_s:
                raise self._cluster.unavailable(error) from None
        else:
            self._silent_since = None

    def pause(self, partitions: Collection[Partition]) -> None:
        wanted, paused = {client_name(partition) for partition in partitions}, self._client.paused()
        self._client.pause(*(wanted - paused))
        self._client.resume(*(paused - wanted))

    def position(self) -> dict[Partition, int]:
        return dict(self._position)

    def close(self) -> None:
        self._cluster.end(self._client)
