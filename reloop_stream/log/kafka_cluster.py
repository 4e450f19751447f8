"""A Kafka cluster as clients reach it: their settings, patience with a broker that is away, and errors in our words."""

from __future__ import annotations

import contextlib
import logging
import ssl
import time
from collections.abc import Callable
from typing import Any, TypeVar

import kafka
import kafka.errors as errors
from kafka.net.compat import KafkaNetClient
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector
from kafka.structs import TopicPartition

from reloop_stream.errors import LogError, LogUnavailable
from reloop_stream.log.base import Partition
from reloop_stream.log.kafka_settings import (
    READER_SETTINGS,
    Settings,
    check_bootstrap,
    check_settings,
    has_secrets,
    resolve_settings,
)

__all__ = ["AWAY", "CALL_MS", "MAX_RECORD_BYTES", "REFUSED", "TOO_LARGE", "KafkaCluster", "client_name"]

logger = logging.getLogger(__name__)

MAX_RECORD_BYTES = 8 << 20
CALL_MS = 5_000  # one attempt of a request
RETRY_S = 0.25
RETRY_MS = 20  # between attempts: a new broker's first producer asks for its id several times
# Between two questions about topics. Every topic that a client meets is one, and by default it waits 100 ms for each.
ASK_AGAIN_MS = 5
# Their debug messages show the bytes that are sent, a password among them.
WIRE_LOGGERS = ("kafka.protocol.parser", "kafka.net.connection")

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


def client_name(partition: Partition) -> TopicPartition:
    """The partition as kafka-python names it."""
    return TopicPartition(partition.topic, partition.number)


class KafkaCluster:
    """Where brokers are and how they are spoken to.

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
        self._consumers: set[Any] = set()

    def drop_clients(self) -> None:
        """Forget clients whose broker went away: others are made when they are needed."""

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
                self.drop_clients()
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

    @staticmethod
    def make(kind: Callable[..., T], *, net: type[KafkaNetClient] = KafkaNetClient, **settings: Any) -> T:
        """A client of kafka-python's, on a network client of this kind. Where it cannot be made its thread ends, which runs
        before a broker is looked for."""
        begun: list[Any] = []

        def begin(**given: Any) -> Any:
            begun.append(client := net(**given))
            client._manager.cluster.config["retry_backoff_ms"] = ASK_AGAIN_MS
            return client

        try:
            return kind(kafka_client=begin, **settings)
        except BaseException:
            for one in begun:
                one.close()
            raise

    def consumer(self, **settings: Any) -> Any:
        """One of kafka-python's, which runs until `end`, or `end_all`."""
        made = self.make(kafka.KafkaConsumer, **self.common_to_readers(), enable_auto_commit=False, **settings)
        self._consumers.add(made)
        return made

    def end(self, consumer: Any) -> None:
        """Close one. Its thread ends also where the broker does not answer."""
        self._consumers.discard(consumer)
        try:
            with contextlib.suppress(errors.KafkaError):
                consumer.close(autocommit=False)
        finally:
            consumer._client.close()

    def end_all(self) -> None:
        for consumer in list(self._consumers):
            self.end(consumer)

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
            "bootstrap_timeout_ms": min(CALL_MS, max(1000, int(1000 * self.unavailable_after_s))),
        }

    def common_to_readers(self) -> dict[str, Any]:
        """Settings of every client that reads. Ends are those of what is committed too, so that reading comes to them."""
        own = {name: value for name, value in self._settings.items() if name in READER_SETTINGS}
        return {"isolation_level": "read_committed", "metrics_enabled": False, **resolve_settings(own), **self.common()}
