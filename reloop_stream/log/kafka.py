"""The log on Apache Kafka, by kafka-python.

A broker that goes away is waited for, for a stated time. The producer is idempotent, so that what it sends again when the
broker is back lies in the log once.
"""

from __future__ import annotations

import contextlib
import logging
import ssl
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import kafka
import kafka.errors as errors
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector
from kafka.structs import OffsetAndMetadata, TopicPartition

from reloop_stream.errors import LogError, LogUnavailable, OffsetOutOfRange, UnknownTopic
from reloop_stream.log.base import Partition, Record
from reloop_stream.log.kafka_settings import (
    READER_SETTINGS,
    Settings,
    check_bootstrap,
    check_settings,
    has_secrets,
    resolve_settings,
)

__all__ = ["KafkaLog"]

logger = logging.getLogger(__name__)

MAX_RECORD_BYTES = 8 << 20
USUAL_RECORD_BYTES = 1 << 20  # what a topic takes that nobody has configured
MAX_MESSAGE_BYTES = "max.message.bytes"
TOPIC_CONFIG = {MAX_MESSAGE_BYTES: str(MAX_RECORD_BYTES)}
# What no record expires under by itself, whatever the broker's defaults are.
KEPT_CONFIG = {**TOPIC_CONFIG, "retention.ms": "-1", "retention.bytes": "-1", "cleanup.policy": "delete"}
AS_THE_BROKER_DOES = -1  # as many replicas

BATCH_BYTES = 256 << 10
# How long a record may wait for others: measured to be worth a tenth of the rate against 5 ms, and no reader is that near.
LINGER_MS = 20
IN_FLIGHT = 1000  # records, and
IN_FLIGHT_BYTES = 32 << 20  # bytes that may wait for the broker: send() itself never blocks
CALL_MS = 5_000  # one attempt of a request
RETRY_S = 0.25
RETRY_MS = 20  # between attempts: a new broker's first producer asks for its id several times
# Their debug messages show the bytes that are sent, a password among them.
WIRE_LOGGERS = ("kafka.protocol.parser", "kafka.net.connection")
PROBE_AFTER_S = 2.0  # without a record; a poll of a dead broker is as silent as that of an idle one

T = TypeVar("T")
# What a broker that is away or still starting answers.
AWAY = (errors.KafkaConnectionError, errors.KafkaTimeoutError, errors.RetriableError, errors.BrokerNotAvailableError)
# What one answers that does not want this client: waiting does not help.
REFUSED = (
    errors.SaslAuthenticationFailedError,
    errors.UnsupportedSaslMechanismError,
    errors.IllegalSaslStateError,
    errors.AuthorizationError,
)
TOO_LARGE = (errors.MessageSizeTooLargeError, errors.RecordListTooLargeError)


def _above_debug(record: logging.LogRecord) -> bool:
    return record.levelno > logging.DEBUG


def _tp(partition: Partition) -> TopicPartition:
    return TopicPartition(partition.topic, partition.number)


class KafkaLog:
    """A log on a Kafka cluster. Clients are made when first needed, inside the process that uses them.

    bootstrap: `HOST:PORT[,HOST:PORT]`. unavailable_after_s: seconds to wait for a broker that does not answer.
    settings: of every client, see `reloop_stream.log.kafka_settings`. Raises SettingsError.
    """

    def __init__(self, bootstrap: str, *, unavailable_after_s: float = 60.0, settings: Settings | None = None) -> None:
        check_bootstrap(bootstrap)
        check_settings(settings or {})
        self.bootstrap = bootstrap.split(",")
        self.unavailable_after_s = unavailable_after_s
        self._settings = dict(settings or {})
        if has_secrets(self._settings):
            for name in WIRE_LOGGERS:
                logging.getLogger(name).addFilter(_above_debug)
        self._admitted = not settings
        self._admin: Any = None
        self._lookup: Any = None
        self._committers: dict[str, Any] = {}  # by group

    def patiently(self, action: Callable[[], T]) -> T:
        """What the action returns; while the broker is away, try again.

        Raises LogUnavailable after the stated time; LogError where the broker refuses this client, or what it asks for.
        """
        deadline = time.monotonic() + self.unavailable_after_s
        warned = False
        while True:
            try:
                self._knock()
                return action()
            except REFUSED as error:
                raise self.refused(error) from None
            except AWAY as error:
                self._drop_clients()
                if time.monotonic() >= deadline:
                    raise self.unavailable(error) from None
                if not warned:
                    logger.warning("%s does not answer; waiting up to %g s", self.address, self.unavailable_after_s)
                    warned = True
                time.sleep(RETRY_S)
            except errors.KafkaError as error:
                raise self.failed(error) from None

    @property
    def address(self) -> str:
        return f"kafka://{','.join(self.bootstrap)}"

    def unavailable(self, error: BaseException | None = None) -> LogUnavailable:
        cause = f" ({type(error).__name__})" if error else ""
        hint = "" if self._settings else "; one that asks for TLS or a password needs security_protocol"
        return LogUnavailable(
            f"{self.address} has not answered for {self.unavailable_after_s:g} s{cause}; start the broker, "
            f"or wait longer (--unavailable-seconds){hint}"
        )

    def _knock(self) -> None:
        """Connect once, where there are settings for security, to hear why a broker refuses them.

        kafka-python's clients try again whatever the reason, and in the end say only that time is up.
        """
        if self._admitted:
            return
        common = self.common()
        net = NetworkSelector(**common)
        manager = KafkaConnectionManager(net, **common)
        try:
            nodes = [broker.node_id for broker in manager.cluster.bootstrap_brokers()]
            self._admitted = any(net.run(self._connect_once, manager, node) for node in nodes)
        finally:
            manager.close()
            net.close()

    async def _connect_once(self, manager: Any, node: str) -> bool:
        """Whether the broker let this client in; False where it is not there. Raises what it refuses it with."""
        connection = manager.get_connection(node, timeout_ms=CALL_MS)
        try:
            await connection
        except (errors.KafkaConnectionError, errors.KafkaTimeoutError) as error:
            if isinstance(error.__context__, ssl.SSLError):
                raise self._distrusted(error.__context__) from None
            # A broker answers wrong credentials and hangs up at once, and the client may lose the answer over that.
            if connection.sasl_enabled and connection.broker_version is not None:
                raise errors.SaslAuthenticationFailedError from None
            return False
        return True

    def refused(self, error: errors.KafkaError) -> LogError:
        names = "sasl_mechanism, sasl_plain_username and sasl_plain_password"
        fix = "ask for the permission" if isinstance(error, errors.AuthorizationError) else f"check {names}"
        return LogError(f"{self.address}: refuses this client ({error}); {fix}")

    def failed(self, error: errors.KafkaError) -> LogError:
        return LogError(f"{self.address}: {type(error).__name__}: {error}")

    def _distrusted(self, error: ssl.SSLError) -> LogError:
        if isinstance(error, ssl.SSLCertVerificationError):
            fix = "set ssl_cafile to the certificate of its authority (or check the host's name against it)"
        else:
            fix = "check security_protocol, and ssl_certfile where it asks for a certificate of the client's"
        return LogError(f"{self.address}: no TLS connection ({error.reason or error}); {fix}")

    def common(self) -> dict[str, Any]:
        """Settings of every client. Raises SettingsError where one lies in a place that does not hold it."""
        everywhere = {name: value for name, value in self._settings.items() if name not in READER_SETTINGS}
        return {
            **resolve_settings(everywhere),
            "bootstrap_servers": self.bootstrap,
            "request_timeout_ms": CALL_MS,
            "reconnect_backoff_max_ms": 1_000,
            "retry_backoff_ms": RETRY_MS,
            "bootstrap_timeout_ms": CALL_MS,
        }

    def common_to_readers(self) -> dict[str, Any]:
        """Settings of every client that reads. Ends are those of what is committed too, so that reading comes to them."""
        own = {name: value for name, value in self._settings.items() if name in READER_SETTINGS}
        return {"isolation_level": "read_committed", **resolve_settings(own), **self.common()}

    def _drop_clients(self) -> None:
        for client in (self._admin, self._lookup):
            if client is not None:
                with contextlib.suppress(errors.KafkaError):
                    client.close()
        for committer in self._committers.values():
            with contextlib.suppress(errors.KafkaError):
                committer.close(autocommit=False)
        self._admin = self._lookup = None
        self._committers.clear()

    def _administer(self) -> Any:
        if self._admin is None:
            self._admin = kafka.KafkaAdminClient(**self.common())
        return self._admin

    def _look_up(self) -> Any:
        if self._lookup is None:
            self._lookup = kafka.KafkaConsumer(enable_auto_commit=False, **self.common_to_readers())
        return self._lookup

    def _describe(self, topics: Iterable[str]) -> dict[str, dict[str, Any]]:
        """What the broker says of those of the topics that exist, asked anew."""

        def ask() -> dict[str, dict[str, Any]]:
            found = {}
            for said in self._administer().describe_topics(list(topics)):
                error = errors.for_code(said["error_code"])
                if error is errors.NoError:
                    found[said["name"]] = said
                elif error not in (errors.UnknownTopicOrPartitionError, errors.InvalidTopicError):
                    raise error(said["name"])
            return found

        return self.patiently(ask)

    def create_topics(self, partitions: Mapping[str, int], *, kept: bool = False) -> None:
        def create() -> None:
            existing = self._describe(partitions)
            missing = {
                topic: {
                    "num_partitions": n,
                    "replication_factor": AS_THE_BROKER_DOES,
                    "configs": KEPT_CONFIG if kept else TOPIC_CONFIG,
                }
                for topic, n in partitions.items()
                if topic not in existing
            }
            if not missing:
                return
            for said in self._administer().create_topics(missing, raise_errors=False)["topics"]:
                error = errors.for_code(said["error_code"])
                if issubclass(error, AWAY + REFUSED):
                    raise error(said["name"])
                if error not in (errors.NoError, errors.TopicAlreadyExistsError):
                    raise LogError(f"{said['name']}: {self.address} says: {said['error_message'] or error.__name__}")
            self._administer().wait_for_topics(list(missing))

        self.patiently(create)
        for topic, n in partitions.items():
            if (found := len(self.partitions(topic))) != n:
                raise LogError(
                    f"{topic}: exists with {found} partitions, asked for {n}; use another --out (the prefix)"
                )

    def topic_ids(self, topics: Iterable[str]) -> dict[str, str]:
        said = self._describe(wanted := list(topics))
        return {topic: str(said[topic].get("topic_id", "")) for topic in wanted if topic in said}

    def producer(self) -> _Producer:
        return _Producer(self)

    def reader(self, offsets: Mapping[Partition, int]) -> _Reader:
        begin, end = self.begin_offsets(list(offsets)), self.end_offsets(list(offsets))
        for partition, offset in offsets.items():
            if not begin[partition] <= offset <= end[partition]:
                raise OffsetOutOfRange(
                    f"{partition.topic}[{partition.number}]: offset {offset} is not retained: the log holds "
                    f"{begin[partition]} to {end[partition]}; use `log.retention: all` to keep everything"
                )
        return _Reader(self, offsets)

    def partitions(self, topic: str) -> list[Partition]:
        said = self._describe([topic]).get(topic)
        if said is None:
            raise UnknownTopic(f"{self.address}: has no topic {topic}; create it first")
        return [Partition(topic, number) for number in sorted(one["partition_index"] for one in said["partitions"])]

    def _offsets(self, partitions: Sequence[Partition], which: str) -> dict[Partition, int]:
        if not partitions:
            return {}
        wanted: dict[str, set[int]] = {}
        for topic, number in partitions:
            wanted.setdefault(topic, set()).add(number)

        def look() -> Any:
            client = self._look_up()
            for topic, numbers in wanted.items():
                # A client that waits for a partition that is not there waits for ever.
                new = numbers - client.partitions_for_topic(topic)
                if new and (unknown := new - {known.number for known in self.partitions(topic)}):
                    raise UnknownTopic(f"{self.address}: has no {topic}[{min(unknown)}]; create its topic first")
            return getattr(client, which)([_tp(partition) for partition in partitions])

        found = self.patiently(look)
        return {partition: found[_tp(partition)] for partition in partitions}

    def begin_offsets(self, partitions: Sequence[Partition]) -> dict[Partition, int]:
        return self._offsets(partitions, "beginning_offsets")

    def end_offsets(self, partitions: Sequence[Partition]) -> dict[Partition, int]:
        return self._offsets(partitions, "end_offsets")

    def max_record_bytes(self, topic: str) -> int | None:
        """Asks the broker; where it does not tell this client, what brokers take that nobody has configured."""
        asked = ConfigResource(ConfigResourceType.TOPIC, topic, {MAX_MESSAGE_BYTES: None})

        def ask() -> int:
            answer = self._administer().describe_configs([asked], config_filter="all")
            return int(answer["topic"][topic][MAX_MESSAGE_BYTES]["value"])

        try:
            found = self.patiently(ask)
        except LogUnavailable:
            raise
        except (LogError, errors.KafkaError, KeyError, TypeError, ValueError) as error:
            logger.info("%s: %s is not told (%s)", topic, MAX_MESSAGE_BYTES, error)
            found = USUAL_RECORD_BYTES
        return min(found, MAX_RECORD_BYTES)

    def delete_before(self, offsets: Mapping[Partition, int]) -> None:
        wanted = {_tp(partition): offset for partition, offset in offsets.items() if offset > 0}
        if wanted:
            self.patiently(lambda: self._administer().delete_records(wanted))

    def delete_topics(self, topics: Iterable[str]) -> None:
        wanted = set(topics)

        def delete() -> None:
            if existing := wanted & set(self._administer().list_topics()):
                self._administer().delete_topics(sorted(existing))

        self.patiently(delete)
        self._drop_clients()  # they remember topics

    def commit(self, group: str, offsets: Mapping[Partition, int]) -> None:
        """For lag displays alone: a broker that does not take it is no reason to wait."""
        try:
            if group not in self._committers:
                self._committers[group] = kafka.KafkaConsumer(group_id=group, enable_auto_commit=False, **self.common())
            consumer = self._committers[group]
            consumer.assign([_tp(partition) for partition in offsets])
            consumer.commit({_tp(p): OffsetAndMetadata(offset, "", -1) for p, offset in offsets.items()})
        except errors.KafkaError as error:
            logger.info("offsets of group %s were not committed: %s", group, error)
            self._drop_clients()

    def close(self) -> None:
        self._drop_clients()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Producer:
    def __init__(self, log: KafkaLog) -> None:
        self._log = log
        self._waiting: deque[tuple[Any, int, Partition]] = deque()
        self._bytes = 0
        self._client = log.patiently(self._connect)

    def _connect(self) -> Any:
        wait_ms = int(self._log.unavailable_after_s * 1000)
        return kafka.KafkaProducer(
            **{**self._log.common(), "request_timeout_ms": min(CALL_MS, max(1000, wait_ms - LINGER_MS))},
            acks="all",
            enable_idempotence=True,
            linger_ms=LINGER_MS,
            batch_size=BATCH_BYTES,
            max_request_size=MAX_RECORD_BYTES,
            max_block_ms=wait_ms,
            delivery_timeout_ms=max(wait_ms, CALL_MS + LINGER_MS),
        )

    def append(
        self,
        partition: Partition,
        value: bytes,
        *,
        key: bytes | None = None,
        headers: Mapping[str, bytes] | None = None,
    ) -> None:
        while self._waiting and (
            self._waiting[0][0].is_done or len(self._waiting) > IN_FLIGHT or self._bytes > IN_FLIGHT_BYTES
        ):
            self._settle()
        try:
            future = self._client.send(
                partition.topic, value, key=key, headers=list((headers or {}).items()), partition=partition.number
            )
        except errors.UnknownTopicOrPartitionError:
            raise UnknownTopic(f"{self._log.address}: has no {partition.topic}[{partition.number}]") from None
        except errors.MessageSizeTooLargeError as error:
            raise LogError(f"{partition.topic}[{partition.number}]: a record of {len(value)} bytes: {error}") from None
        except AWAY as error:
            raise self._log.unavailable(error) from None
        self._waiting.append((future, len(value), partition))
        self._bytes += len(value)

    def _settle(self) -> None:
        """Wait for the oldest record to be in the log."""
        future, size, where = self._waiting.popleft()
        self._bytes -= size
        try:
            future.get(timeout=self._log.unavailable_after_s)
        except REFUSED as error:
            raise self._log.refused(error) from None
        except TOO_LARGE as error:
            raise LogError(
                f"{where.topic}: a record of {size} bytes is larger than the topic allows ({type(error).__name__}); raise "
                f"its max.message.bytes, to {MAX_RECORD_BYTES} at most"
            ) from None
        except errors.KafkaError as error:
            raise self._log.unavailable(error) from None

    def flush(self) -> None:
        if self._waiting:
            with contextlib.suppress(errors.KafkaTimeoutError):  # the futures tell which
                self._client.flush(timeout=self._log.unavailable_after_s)
        while self._waiting:
            self._settle()

    def close(self) -> None:
        try:
            self.flush()
        finally:
            with contextlib.suppress(errors.KafkaError):
                self._client.close(timeout=1)


def _record(partition: Partition, raw: Any) -> Record:
    """A record of kafka-python's; a value or a header that is null there is empty here."""
    headers = {name: content or b"" for name, content in raw.headers or ()}
    written_ms = raw.timestamp if raw.timestamp is not None and raw.timestamp >= 0 else None
    return Record(partition, raw.offset, raw.key, raw.value or b"", headers, written_ms)


class _Reader:
    def __init__(self, log: KafkaLog, offsets: Mapping[Partition, int]) -> None:
        self._log = log
        self._position = dict(offsets)
        self._names = {_tp(partition): partition for partition in offsets}
        self._heard = time.monotonic()
        self._silent_since: float | None = None
        self._client = log.patiently(self._connect)

    def _connect(self) -> Any:
        client = kafka.KafkaConsumer(
            **self._log.common_to_readers(),
            enable_auto_commit=False,
            auto_offset_reset="none",
            max_partition_fetch_bytes=MAX_RECORD_BYTES,
            fetch_max_wait_ms=20,
        )
        client.assign(list(self._names))
        for partition, offset in self._position.items():
            client.seek(_tp(partition), offset)
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
            raise self._log.refused(error) from None
        except errors.KafkaError as error:
            raise self._log.failed(error) from None

    def _probe(self) -> None:
        """Nothing has come for a while: is the broker there? Raises LogUnavailable when it has been gone too long."""
        self._heard = time.monotonic()
        if not self._names:
            return
        try:
            self._client.end_offsets(list(self._names), timeout_ms=CALL_MS)
        except AWAY as error:
            if self._silent_since is None:
                self._silent_since = time.monotonic()
                logger.warning(
                    "%s does not answer; waiting up to %g s", self._log.address, self._log.unavailable_after_s
                )
            elif time.monotonic() - self._silent_since > self._log.unavailable_after_s:
                raise self._log.unavailable(error) from None
        else:
            self._silent_since = None

    def pause(self, partitions: Collection[Partition]) -> None:
        wanted, paused = {_tp(partition) for partition in partitions}, self._client.paused()
        self._client.pause(*(wanted - paused))
        self._client.resume(*(paused - wanted))

    def position(self) -> dict[Partition, int]:
        return dict(self._position)

    def close(self) -> None:
        with contextlib.suppress(errors.KafkaError):
            self._client.close(autocommit=False)
