"""Fixtures for pytest: `pytest_plugins = ["reloop_stream.testing.fixtures"]` in the topmost conftest.py.

`kafka_url` is the address of a real Apache Kafka broker: that of RELOOP_KAFKA=HOST:PORT, or one that is started for the
session by this machine's Java and Maven, or by Docker. `log` is each implementation of the log in turn.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from reloop_stream.log import EventLog, open_log
from reloop_stream.log.broker import Broker
from reloop_stream.log.secured import SecuredListener
from reloop_stream.testing.composed_broker import COMPOSE_FILE, ComposedBroker
from reloop_stream.testing.memory_log import MemoryLog

__all__ = ["kafka_url", "log", "start_broker", "start_secured_broker"]

UNAVAILABLE_S = 20.0


def start_broker(folder: Path) -> Broker | ComposedBroker:
    """A broker by this machine's Java and Maven, or in a checkout by Docker. Can be killed and started again.

    Without either a local run skips its test, and one of CI fails.
    """
    if _has_java():
        return Broker(folder).start()
    if shutil.which("docker") and COMPOSE_FILE.exists():
        return ComposedBroker(folder).start()
    _do_without("there is neither Java 17 with Maven, nor Docker, nor RELOOP_KAFKA=HOST:PORT")


def start_secured_broker(folder: Path, listener: SecuredListener) -> Broker:
    """A broker that also asks for TLS or a password, by this machine's Java and Maven; without them as `start_broker`."""
    if _has_java():
        return Broker(folder, secured=listener).start()
    _do_without("a secured broker is started by Java 17 and Maven, which this machine lacks")


def _has_java() -> bool:
    return bool(shutil.which("java") and shutil.which("mvn"))


def _do_without(reason: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(f"NO KAFKA TEST RAN: {reason}")


@pytest.fixture(scope="session")
def kafka_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a broker that the session's tests share."""
    if given := os.environ.get("RELOOP_KAFKA"):
        yield f"kafka://{given}"
        return
    broker = start_broker(tmp_path_factory.mktemp("broker"))
    yield broker.address
    broker.stop()


@pytest.fixture(params=["memory", "embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EventLog]:
    """Each implementation of the log."""
    if request.param == "memory":
        yield MemoryLog()
        return
    place = tmp_path / "events" if request.param == "embedded" else request.getfixturevalue("kafka_url")
    with open_log(place, unavailable_after_s=UNAVAILABLE_S) as opened:
        yield opened
