"""The log on Apache Kafka, by kafka-python: topics and offsets here, clients that read and append beside it."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import kafka
import kafka.errors as errors
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.structs import OffsetAndMetadata

from reloop_stream.errors import LogError, LogUnavailable, OffsetOutOfRange, UnknownTopic
from reloop_stream.log.base import Partition
from reloop_stream.log.kafka_cluster import AWAY, MAX_RECORD_BYTES, REFUSED, KafkaCluster, client_name
from reloop_stream.log.kafka_producer import KafkaProducer, SharedClient
from reloop_stream.log.kafka_reader import KafkaReader
from reloop_stream.log.kafka_settings import Settings

__all__ = ["KafkaLog"]

logger = logging.getLogger(__name__)

USUAL_RECORD_BYTES = 1 << 20  # what a topic takes that nobody has configured
MAX_MESSAGE_BYTES = "max.message.bytes"
TOPIC_CONFIG = {MAX_MESSAGE_BYTES: str(MAX_RECORD_BYTES)}
# What no record expires under by itself, whatever the broker's defaults are.
KEPT_CONFIG = {**TOPIC_CONFIG, "retention.ms": "-1", "retention.bytes": "-1", "cleanup.policy": "delete"}
AS_THE_BROKER_DOES = -1  # as many replicas


class KafkaLog(KafkaCluster):
    """A log on a Kafka cluster. Clients are made when first needed, inside the process that uses them.

    bootstrap: `HOST:PORT[,HOST:PORT]`. unavailable_after_s: seconds to wait for a broker that does not answer.
    settings: of every client, see `reloop_stream.log.kafka_settings`. Raises SettingsError.
    """

    def __init__(self, bootstrap: str, *, unavailable_after_s: float = 60.0, settings: Settings | None = None) -> None:
        super().__init__(bootstrap, unavailable_after_s=unavailable_after_s, settings=settings)
        self._admin: Any = None
        self._lookup: Any = None
        self._committers: dict[str, Any] = {}  # by group
        self._appending = SharedClient(self)

    def drop_clients(self) -> None:
        if self._admin is not None:
            with contextlib.suppress(errors.KafkaError):
                self._admin.close()
        for consumer in (self._lookup, *self._committers.values()):
            if consumer is not None:
                self.end(consumer)
        self._admin = self._lookup = None
        self._committers.clear()

    def _administer(self) -> Any:
        if self._admin is None:
            self._admin = self.make(kafka.KafkaAdminClient, **self.common())
        return self._admin

    def _look_up(self) -> Any:
        if self._lookup is None:
            self._lookup = self.consumer()
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

    def producer(self) -> KafkaProducer:
        return KafkaProducer(self, self._appending)

    def reader(self, offsets: Mapping[Partition, int]) -> KafkaReader:
        begin, end = self.begin_offsets(list(offsets)), self.end_offsets(list(offsets))
        for partition, offset in offsets.items():
            if not begin[partition] <= offset <= end[partition]:
                raise OffsetOutOfRange(
                    f"{partition.topic}[{partition.number}]: offset {offset} is not retained: the log holds "
                    f"{begin[partition]} to {end[partition]}; use `log.retention: all` to keep everything"
                )
        return KafkaReader(self, offsets)

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
            return getattr(client, which)([client_name(partition) for partition in partitions])

        found = self.patiently(look)
        return {partition: found[client_name(partition)] for partition in partitions}

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
        wanted = {client_name(partition): offset for partition, offset in offsets.items() if offset > 0}
        if wanted:
            self.patiently(lambda: self._administer().delete_records(wanted))

    def delete_topics(self, topics: Iterable[str]) -> None:
        wanted = set(topics)

        def delete() -> None:
            if existing := wanted & set(self._administer().list_topics()):
                self._administer().delete_topics(sorted(existing))

        self.patiently(delete)
        self.drop_clients()  # they remember topics

    def commit(self, group: str, offsets: Mapping[Partition, int]) -> None:
        """For lag displays alone: a broker that does not take it is no reason to wait."""
        try:
            if group not in self._committers:
                self._committers[group] = self.consumer(group_id=group)
            consumer = self._committers[group]
            consumer.assign([client_name(partition) for partition in offsets])
            consumer.commit({client_name(p): OffsetAndMetadata(offset, "", -1) for p, offset in offsets.items()})
        except errors.KafkaError as error:
            logger.info("offsets of group %s were not committed: %s", group, error)
            self.drop_clients()

    def close(self) -> None:
        self.drop_clients()
        self.end_all()  # also readers that nobody closed

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
