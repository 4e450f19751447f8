"""Settings for Kafka's clients: what is let through, what is refused by name, and where secrets come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import kafka
import pytest

from reloop_stream.errors import SettingsError
from reloop_stream.log import open_log
from reloop_stream.log.kafka_settings import (
    KAFKA_SETTINGS,
    READER_SETTINGS,
    check_settings,
    parse_setting,
    read_settings,
    resolve_settings,
)

GOOD: dict[str, Any] = {
    "security_protocol": "SASL_SSL",
    "ssl_cafile": "/etc/ca.pem",
    "sasl_mechanism": "SCRAM-SHA-512",
    "sasl_plain_username": "me",
    "sasl_plain_password": "env:KAFKA_PASSWORD",
}


def test_every_setting_is_one_of_each_client_that_is_made() -> None:
    for client in (kafka.KafkaAdminClient, kafka.KafkaConsumer, kafka.KafkaProducer):
        assert KAFKA_SETTINGS.keys() - set(READER_SETTINGS) <= client.DEFAULT_CONFIG.keys(), client
    assert set(READER_SETTINGS) <= kafka.KafkaConsumer.DEFAULT_CONFIG.keys()


def test_good_settings_pass() -> None:
    check_settings({})
    check_settings(GOOD)
    check_settings({**GOOD, "ssl_check_hostname": False, "security_protocol": "env:PROTOCOL"})


@pytest.mark.parametrize(
    "change, said",
    [
        ({"sasl_mechansim": "PLAIN"}, "sasl_mechansim: unknown setting .* did you mean `sasl_mechanism`?"),
        ({"security.protocol": "SSL"}, "security.protocol: unknown setting .* did you mean `security_protocol`?"),
        ({"bootstrap_servers": "elsewhere"}, "bootstrap_servers: unknown setting"),
        ({"security_protocol": "TLS"}, "security_protocol: got 'TLS', must be one of PLAINTEXT, SSL,"),
        ({"security_protocol": "SSL"}, "sasl_mechanism: is for security_protocol SASL_PLAINTEXT and SASL_SSL, not SSL"),
        ({"security_protocol": "SASL_PLAINTEXT"}, "ssl_cafile: is for security_protocol SSL and SASL_SSL"),
        ({"sasl_mechanism": "MD5"}, "sasl_mechanism: got 'MD5', must be one of PLAIN, SCRAM-SHA-256"),
        ({"sasl_plain_username": ""}, "sasl_plain_username: missing; sasl_mechanism SCRAM-SHA-512 needs it"),
        ({"ssl_check_hostname": "maybe"}, "ssl_check_hostname: got 'maybe', must be true or false"),
        ({"metadata_max_age_ms": "soon"}, "metadata_max_age_ms: got 'soon', must be a whole number"),
        ({"sasl_plain_password": 1234}, r"sasl_plain_password: got \*\*\*, must be a text"),
    ],
)
def test_a_mistake_is_named(change: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        open_log("kafka://127.0.0.1:1", settings={**GOOD, **change})


def test_values_come_from_the_environment_and_from_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_PASSWORD", "from the environment")
    (tmp_path / "user").write_text("from a file\n")
    given = {**GOOD, "sasl_plain_username": f"file:{tmp_path / 'user'}", "ssl_check_hostname": "false"}
    found = resolve_settings(given)
    assert found["sasl_plain_password"] == "from the environment" and found["sasl_plain_username"] == "from a file"
    assert found["ssl_check_hostname"] is False and found["ssl_cafile"] == "/etc/ca.pem"


def test_a_place_that_does_not_hold_the_secret_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KAFKA_PASSWORD", raising=False)
    with pytest.raises(SettingsError, match="sasl_plain_password: got env:KAFKA_PASSWORD, the environment has no such"):
        resolve_settings(GOOD)
    with pytest.raises(SettingsError, match=r"ssl_password: got file:.*, which cannot be read: No such file"):
        resolve_settings({"ssl_password": f"file:{tmp_path / 'gone'}"})


def test_a_secret_is_not_shown_where_settings_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_PASSWORD", "hunter2")
    assert "hunter2" not in repr(resolve_settings(GOOD)) and "hunter2" not in repr(
        vars(open_log("kafka://h:1", settings=GOOD))
    )
    assert "hunter2" not in repr(resolve_settings({"proxy_url": "http://me:hunter2@proxy"}))


def test_settings_are_read_from_a_file_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "kafka.settings"
    path.write_text("# who we are\nsecurity_protocol = SASL_SSL\n\nsasl_plain_password=a=b#c\n")
    assert read_settings(path) == {"security_protocol": "SASL_SSL", "sasl_plain_password": "a=b#c"}
    path.write_text("security_protocol=SSL\nsecret words\n")
    with pytest.raises(SettingsError, match=r"kafka.settings, line 2: .* must be NAME=VALUE"):
        read_settings(path)
    path.write_text("ssl.ca.location=/etc/ca.pem\n")
    with pytest.raises(SettingsError, match=r"line 1: ssl.ca.location: unknown setting"):
        read_settings(path)
    with pytest.raises(SettingsError, match="gone: cannot be read: No such file"):
        read_settings(tmp_path / "gone")


def test_a_setting_without_a_value_is_refused() -> None:
    with pytest.raises(SettingsError, match="must be NAME=VALUE") as caught:
        parse_setting("hunter2")
    assert "hunter2" not in str(caught.value)
