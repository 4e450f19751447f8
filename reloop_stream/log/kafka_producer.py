"""Appending to Kafka: idempotent, so that what is sent again when a broker is back lies in the log once."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

import kafka
import kafka.errors as errors
from kafka.net.compat import KafkaNetClient

from reloop_stream.errors import LogError, UnknownTopic
from reloop_stream.log.base import Partition
from reloop_stream.log.kafka_cluster import AWAY, CALL_MS, MAX_RECORD_BYTES, REFUSED, TOO_LARGE, KafkaCluster

__all__ = ["KafkaProducer", "SharedClient"]

BATCH_BYTES = 1 << 20  # a tick of one partition in one piece, and no more than any topic takes
IN_FLIGHT = 1000  # records, and
IN_FLIGHT_BYTES = 32 << 20  # bytes that may wait for the broker: send() itself never blocks


class _NetClient(KafkaNetClient):  # type: ignore[misc]
    """Leaves the thread that sends asleep while what is appended will be followed by more.

    A request costs client and broker more than a millisecond of core, however little it holds; and that thread, awake at the
    first record of several, would send it alone.
    """

    _holder: int | None = None
    owes_wakeup = False

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Meanwhile nothing that this thread does wakes it."""
        self._holder = threading.get_ident()
        try:
            yield
        finally:
            self._holder = None

    def wakeup(self) -> None:
        self.owes_wakeup = self._holder == threading.get_ident()
        if not self.owes_wakeup:
            super().wakeup()


class SharedClient:
    """The client behind a log's producers: what several append goes to the broker in the same requests."""

    def __init__(self, cluster: KafkaCluster) -> None:
        self._cluster = cluster
        self._users = 0
        self._client: Any = None
        self.has_given_up = (
            False  # a broker was waited for in vain: what else waits for it is not waited for as long again
        )

    def join(self) -> Any:
        """One more producer uses the client, which the first one makes."""
        if self._client is None:
            self._client = self._cluster.patiently(self._connect)
        self._users += 1
        return self._client

    def leave(self) -> None:
        """One fewer uses it; the last one closes it."""
        self._users -= 1
        if not self._users:
            client, self._client, self.has_given_up = self._client, None, False
            _close(client)

    def _connect(self) -> Any:
        wait_ms = int(self._cluster.unavailable_after_s * 1000)
        return self._cluster.make(
            kafka.KafkaProducer,
            net=_NetClient,
            **{**self._cluster.common(), "request_timeout_ms": min(CALL_MS, max(1000, wait_ms))},
            acks="all",
            enable_idempotence=True,
            batch_size=BATCH_BYTES,
            max_request_size=MAX_RECORD_BYTES,
            max_block_ms=wait_ms,
            delivery_timeout_ms=max(wait_ms, CALL_MS),
            metrics_enabled=False,
        )


def _close(client: Any) -> None:
    try:
        client.close(timeout=1)
    except errors.KafkaError:  # what it waited for did not come; its thread would go on trying for ever
        client._sender.force_close()
        client._sender.join(timeout=1)
        client._closed = True


class KafkaProducer:
    """See `reloop_stream.log.base.Producer`."""

    def __init__(self, cluster: KafkaCluster, shared: SharedClient) -> None:
        self._cluster = cluster
        self._waiting: deque[tuple[Any, int, Partition]] = deque()
        self._bytes = 0
        self._shared = shared
        self._client = shared.join()
        self._is_closed = False

    def append(
        self,
        partition: Partition,
        value: bytes,
        *,
        key: bytes | None = None,
        headers: Mapping[str, bytes] | None = None,
        more: bool = False,
    ) -> None:
        while self._waiting and (
            self._waiting[0][0].is_done or len(self._waiting) > IN_FLIGHT or self._bytes > IN_FLIGHT_BYTES
        ):
            self._settle()
        net: _NetClient = self._client._sender._client
        try:
            if more:  # a new topic's are asked for by the thread that sends, which must be awake for it
                self._client.partitions_for(partition.topic)
            with net.held() if more else contextlib.nullcontext():
                future = self._client.send(
                    partition.topic, value, key=key, headers=list((headers or {}).items()), partition=partition.number
                )
        except errors.UnknownTopicOrPartitionError:
            raise UnknownTopic(f"{self._cluster.address}: has no {partition.topic}[{partition.number}]") from None
        except errors.MessageSizeTooLargeError as error:
            raise LogError(f"{partition.topic}[{partition.number}]: a record of {len(value)} bytes: {error}") from None
        except REFUSED as error:
            raise self._cluster.refused(error) from None
        except AWAY as error:
            raise self._cluster.unavailable(error) from None
        except errors.KafkaError as error:
            raise self._cluster.failed(error) from None
        if net.owes_wakeup and not more:
            net.wakeup()
        self._waiting.append((future, len(value), partition))
        self._bytes += len(value)

    def _settle(self) -> None:
        """Wait for the oldest record to be in the log."""
        future, size, where = self._waiting.popleft()
        self._bytes -= size
        if not future.is_done:
            self._client._sender.wakeup()  # it may be one that waits for more
        try:
            future.get(timeout=self._patience_s)
        except REFUSED as error:
            raise self._cluster.refused(error) from None
        except TOO_LARGE as error:
            raise LogError(
                f"{where.topic}: a record of {size} bytes is larger than the topic allows ({type(error).__name__}); raise "
                f"its max.message.bytes, to {MAX_RECORD_BYTES} at most"
            ) from None
        except errors.KafkaError as error:
            self._shared.has_given_up = True
            raise self._cluster.unavailable(error) from None

    @property
    def _patience_s(self) -> float:
        return 0 if self._shared.has_given_up else self._cluster.unavailable_after_s

    def flush(self) -> None:
        if self._waiting:
            with contextlib.suppress(errors.KafkaTimeoutError):  # the futures tell which
                self._client.flush(timeout=self._patience_s)
        while self._waiting:
            self._settle()

    def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        try:
            self.flush()
        finally:
            self._shared.leave()
