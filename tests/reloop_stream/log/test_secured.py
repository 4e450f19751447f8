"""Real brokers that ask for TLS and a password: who has both gets in everywhere, who lacks one is told which at once."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from reloop_stream.errors import LogError, LogUnavailable
from reloop_stream.log import Partition, open_log
from reloop_stream.log.broker import Broker
from reloop_stream.log.secured import SecuredListener
from reloop_stream.testing.fixtures import start_secured_broker

pytestmark = pytest.mark.kafka
LISTENERS = [
    SecuredListener("SASL_SSL", "SCRAM-SHA-512"),
    SecuredListener("SASL_PLAINTEXT", "PLAIN"),
    SecuredListener("SSL"),
]
BY_PROTOCOL = {listener.protocol: listener for listener in LISTENERS}
AT_ONCE_S = 4.0  # the log would wait for a minute


@pytest.fixture(scope="module", params=BY_PROTOCOL)
def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    started = start_secured_broker(tmp_path_factory.mktemp("secured"), BY_PROTOCOL[request.param])
    yield started
    started.stop()


def test_every_client_gets_in_with_the_right_settings(
    broker: Broker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="kafka")
    assert broker.secured is not None
    monkeypatch.setenv("KAFKA_PASSWORD", broker.secured.password)
    settings = broker.client_settings
    if broker.secured.has_password:
        settings["sasl_plain_password"] = "env:KAFKA_PASSWORD"
    place = Partition(f"t{uuid.uuid4().hex[:8]}", 0)
    with open_log(broker.secured_address, unavailable_after_s=20, settings=settings) as log:
        log.create_topics({place.topic: 1})
        producer = log.producer()
        producer.append(place, b"one")
        producer.append(place, b"two")
        producer.close()
        reader = log.reader({place: 0})
        found: list[bytes] = []
        deadline = time.monotonic() + 20
        while len(found) < 2 and time.monotonic() < deadline:
            found += [record.value for record in reader.poll(5)]
        reader.close()
        log.commit("group", {place: 2})
        log.delete_before({place: 1})
        assert found == [b"one", b"two"] and log.begin_offsets([place]) == {place: 1}
    assert "were not committed" not in caplog.text
    assert caplog.text and broker.secured.password not in caplog.text


def refused(broker: Broker, settings: dict[str, Any], said: str) -> None:
    began = time.monotonic()
    with open_log(broker.secured_address, settings=settings) as log, pytest.raises(LogError, match=said) as caught:
        log.partitions("any")
    assert time.monotonic() - began < AT_ONCE_S and not isinstance(caught.value, LogUnavailable)


@pytest.mark.parametrize("broker", ["SASL_SSL", "SASL_PLAINTEXT"], indirect=True)
def test_a_wrong_password_is_refused_at_once(broker: Broker) -> None:
    # Which of the two the broker gives depends on how far the handshake had come.
    said = "refuses this client .*(SaslAuthenticationFailed|UnsupportedSaslMechanism).*; check sasl_mechanism, sasl_plain_username and"
    refused(broker, {**broker.client_settings, "sasl_plain_password": "wrong"}, said)
    refused(broker, {**broker.client_settings, "sasl_plain_username": "nobody"}, said)
    refused(broker, {**broker.client_settings, "sasl_mechanism": "SCRAM-SHA-256"}, said)


@pytest.mark.parametrize("broker", ["SASL_SSL", "SSL"], indirect=True)
def test_an_unknown_certificate_is_refused_at_once(broker: Broker) -> None:
    settings = broker.client_settings
    del settings["ssl_cafile"]
    refused(broker, settings, r"no TLS connection \(CERTIFICATE_VERIFY_FAILED\); set ssl_cafile")


@pytest.mark.parametrize("broker", ["SASL_PLAINTEXT"], indirect=True)
def test_tls_where_there_is_none_is_refused_at_once(broker: Broker) -> None:
    settings = {**broker.client_settings, "security_protocol": "SASL_SSL"}
    refused(broker, settings, "no TLS connection .*; check security_protocol")


def test_a_client_without_settings_is_told_of_them(broker: Broker) -> None:
    with (
        open_log(broker.secured_address, unavailable_after_s=1) as log,
        pytest.raises(LogUnavailable, match="one that asks for TLS or a password needs security_protocol"),
    ):
        log.partitions("any")


def test_a_broker_that_is_not_there_is_waited_for() -> None:
    with (
        open_log("kafka://127.0.0.1:1", unavailable_after_s=0.5, settings={"security_protocol": "SSL"}) as log,
        pytest.raises(LogUnavailable),
    ):
        log.partitions("any")
