"""Kafka as it is elsewhere: compressed records, transactions, topics under a broker's own rules, a broker far away."""

from __future__ import annotations

import time
import uuid
from typing import Any, cast

import kafka
import numpy as np
import pytest
from kafka.admin import ConfigResource, ConfigResourceType

from reloop_stream.codec.records import encode
from reloop_stream.errors import LogError, SettingsError
from reloop_stream.log import EventLog, Partition, kafka_producer, open_log
from reloop_stream.service.inference import first_exposures
from reloop_stream.testing import exposures
from tests.far_broker import far_away

PATIENCE_S = 20.0


def make_topic(log: EventLog) -> Partition:
    place = Partition(f"t{uuid.uuid4().hex[:8]}", 0)
    log.create_topics({place.topic: 1})
    return place


def read_to_end(log: EventLog, place: Partition) -> dict[int, bytes]:
    """The values up to the topic's end, by offset."""
    reader, end = log.reader({place: 0}), log.end_offsets([place])[place]
    found: dict[int, bytes] = {}
    deadline = time.monotonic() + PATIENCE_S
    while reader.position()[place] < end:
        assert time.monotonic() < deadline, f"stuck at {reader.position()[place]} of {end}"
        found |= {record.offset: record.value for record in reader.poll(0.1)}
    reader.close()
    return found


def producer(url: str, **settings: Any) -> Any:
    return kafka.KafkaProducer(bootstrap_servers=url.removeprefix("kafka://"), **settings)


@pytest.mark.kafka
@pytest.mark.parametrize("codec", ["gzip", "lz4", "snappy", "zstd"])
def test_compressed_records_are_read(kafka_url: str, codec: str) -> None:
    with open_log(kafka_url) as log:
        place = make_topic(log)
        sender = producer(kafka_url, compression_type=codec, linger_ms=50)
        values = [b"%d" % n * 500 for n in range(200)]
        for value in values:
            sender.send(place.topic, value, partition=0)
        sender.close()
        assert list(read_to_end(log, place).values()) == values


@pytest.mark.kafka
def test_records_that_more_will_follow_travel_together(kafka_url: str) -> None:
    with open_log(kafka_url) as log:
        places = [make_topic(log) for _ in range(3)]
        sender = log.producer()
        for place in places:  # which are met first apart
            sender.append(place, b"first")
        sender.flush()
        sent: list[int] = []
        client = cast(Any, sender)._client
        made = client._sender._produce_request

        def counted(*of: Any) -> Any:
            sent.append(len(of[-1]))
            return made(*of)

        client._sender._produce_request = counted
        for place in places:
            sender.append(place, b"more", more=place is not places[-1])
        deadline = time.monotonic() + PATIENCE_S
        while set(log.end_offsets(places).values()) != {2}:
            assert time.monotonic() < deadline, "what was appended never went"
        sender.close()
        assert sent == [3]  # partitions in each request


@pytest.mark.kafka
@pytest.mark.parametrize("most", ["IN_FLIGHT", "IN_FLIGHT_BYTES"])
def test_no_more_waits_than_may(kafka_url: str, most: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_producer, most, 10)
    with open_log(kafka_url, unavailable_after_s=PATIENCE_S) as log:
        place = make_topic(log)
        sender = log.producer()
        for _ in range(25):
            sender.append(place, b"value", more=True)
        assert log.end_offsets([place])[place] > 0
        sender.close()
        assert log.end_offsets([place])[place] == 25


@pytest.mark.kafka
def test_what_was_taken_back_is_not_read_and_the_end_is_reached_all_the_same(kafka_url: str) -> None:
    with (
        open_log(kafka_url) as log,
        open_log(kafka_url, settings={"isolation_level": "read_uncommitted"}) as of_all,
    ):
        place = make_topic(log)
        sender = producer(kafka_url, transactional_id=place.topic)
        sender.init_transactions()

        def send(*values: bytes) -> None:
            sender.begin_transaction()
            for value in values:
                sender.send(place.topic, value, partition=0)
            sender.flush()

        send(b"0", b"1")
        sender.commit_transaction()  # its marker has offset 2
        send(b"3", b"4")
        sender.abort_transaction()
        assert read_to_end(log, place) == {0: b"0", 1: b"1"}
        assert log.end_offsets([place])[place] == 6
        send(b"6")  # not decided yet: the end that counts is before it
        assert log.end_offsets([place])[place] == 6 and of_all.end_offsets([place])[place] == 7
        assert read_to_end(log, place) == {0: b"0", 1: b"1"}
        sender.commit_transaction()
        assert read_to_end(log, place) == {0: b"0", 1: b"1", 6: b"6"}
        assert read_to_end(of_all, place) == {0: b"0", 1: b"1", 3: b"3", 4: b"4", 6: b"6"}
        sender.close()


@pytest.mark.kafka
def test_topics_follow_the_broker_unless_they_are_to_be_kept(kafka_url: str) -> None:
    topic, kept = f"t{uuid.uuid4().hex[:8]}", f"t{uuid.uuid4().hex[:8]}"
    with open_log(kafka_url) as log:
        log.create_topics({topic: 1})
        log.create_topics({kept: 1}, kept=True)
        ids = log.topic_ids([topic, kept, "nowhere"])
        assert ids.keys() == {topic, kept} and ids[topic] != ids[kept]
    admin = kafka.KafkaAdminClient(bootstrap_servers=kafka_url.removeprefix("kafka://"))
    asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in (topic, kept)]
    told = admin.describe_configs(asked)
    admin.close()
    own = {
        name: {
            key: said["value"]
            for key, said in told["topic"][name].items()
            if said["config_source"] == "DYNAMIC_TOPIC_CONFIG"
        }
        for name in (topic, kept)
    }
    assert own[topic].keys() == {"max.message.bytes"}
    assert own[kept].items() >= {"retention.ms": "-1", "retention.bytes": "-1", "cleanup.policy": "delete"}.items()


@pytest.mark.kafka
def test_a_name_that_no_topic_can_have_is_an_error_of_one_line(kafka_url: str) -> None:
    with open_log(kafka_url) as log, pytest.raises(LogError, match=r"bad name: .*says: .*") as caught:
        log.create_topics({"bad name": 1})
    assert len(str(caught.value)) < 300


@pytest.mark.kafka
def test_a_record_larger_than_its_topic_allows_is_named(kafka_url: str) -> None:
    with open_log(kafka_url) as log:
        place = make_topic(log)
        admin = kafka.KafkaAdminClient(bootstrap_servers=kafka_url.removeprefix("kafka://"))
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, place.topic, {"max.message.bytes": "1000"})])
        admin.close()
        sender = log.producer()
        sender.append(place, bytes(2000))
        with pytest.raises(LogError, match=rf"{place.topic}: a record of 2000 bytes .* raise its max.message.bytes"):
            sender.flush()
        sender.close()


@pytest.mark.kafka
def test_the_first_look_at_a_far_broker_ends(kafka_url: str) -> None:
    with open_log(kafka_url) as log:
        place = make_topic(log)
        sender = log.producer()
        for payload in encode(exposures(20), "json"):
            sender.append(place, payload.value, headers=payload.headers)
        sender.close()
    with far_away(kafka_url, round_trip_s=0.3) as far, open_log(far, unavailable_after_s=PATIENCE_S) as log:
        deadline = time.monotonic() + PATIENCE_S
        found = first_exposures(log, place.topic, should_stop=lambda: time.monotonic() > deadline)
        assert np.concatenate([batch.exposure_id for batch in found]).tolist() == exposures(20).exposure_id.tolist()


@pytest.mark.parametrize(
    "text", ["", "nohost", "host:", "host:99999999", "host:0", ":9092", "a b:1", "x://h:1", "h:1,", "h:1/x"]
)
def test_an_address_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"got .*, must be HOST:PORT\[,HOST:PORT\]"):
        open_log(f"kafka://{text}")


@pytest.mark.parametrize("place", ["kafka:/x", "KAFKA://host:1", "embedded", "host:1"])
def test_another_kind_of_place_is_refused(place: str) -> None:
    with pytest.raises(SettingsError, match=r"must be a Path or kafka://HOST:PORT"):
        open_log(place)
