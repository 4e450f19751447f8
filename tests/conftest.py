"""Fixtures: a real Kafka broker, both logs, small scenarios."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from reloop_stream.log import EventLog, open_log
from reloop_stream.log.broker import Broker, free_port
from reloop_stream.log.secured import SecuredListener

COMPOSE_FILE = Path(__file__).parent.parent / "docker-compose.kafka.yml"


class ComposedBroker:
    """The broker of docker-compose.kafka.yml, on a port and under a name of its own."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._compose = [
            "docker",
            "compose",
            "-f",
            str(COMPOSE_FILE),
            "-p",
            f"reloop-{folder.name.lower()}-{self.port}",
        ]

    @property
    def address(self) -> str:
        return f"kafka://127.0.0.1:{self.port}"

    def _do(self, *command: str) -> None:
        environment = {**os.environ, "RELOOP_KAFKA_PORT": str(self.port)}
        subprocess.run([*self._compose, *command], env=environment, check=True, capture_output=True, timeout=300)

    def start(self) -> Self:
        self._do("up", "--detach", "--wait", "broker")
        return self

    def kill(self) -> None:
        self._do("kill", "broker")

    def stop(self) -> None:
        self._do("down", "--volumes")


def broker_or_skip(folder: Path) -> Broker | ComposedBroker:
    """A broker by this machine's Java and Maven, or by Docker; with neither a local run skips loudly, and CI fails."""
    if shutil.which("java") and shutil.which("mvn"):
        return Broker(folder).start()
    if shutil.which("docker"):
        return ComposedBroker(folder).start()
    reason = "NO KAFKA TEST RAN: there is neither Java 17 with Maven, nor Docker, nor RELOOP_KAFKA=HOST:PORT"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def secured_or_skip(folder: Path, listener: SecuredListener) -> Broker:
    """A broker that also asks for TLS or a password, by this machine's Java and Maven; without these the test skips."""
    if not (shutil.which("java") and shutil.which("mvn")):
        pytest.skip("a secured broker is started by Java 17 and Maven, which this machine lacks")
    return Broker(folder, secured=listener).start()


@pytest.fixture(scope="session")
def kafka_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a broker: that of RELOOP_KAFKA, or one started for these tests."""
    if given := os.environ.get("RELOOP_KAFKA"):
        yield f"kafka://{given}"
        return
    broker = broker_or_skip(tmp_path_factory.mktemp("broker"))
    yield broker.address
    broker.stop()


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EventLog]:
    """Each implementation of the log."""
    place = tmp_path / "events" if request.param == "embedded" else request.getfixturevalue("kafka_url")
    with open_log(place, unavailable_after_s=20) as opened:
        yield opened


TINY = """
name: tiny
phases: {warmup_days: 1, aa_days: 1, ab_days: 1}
tick_minutes: 120
checkpoint_every_hours: 6
world:
  ctr: 0.15
  users: {n: 300, requests_per_day: 2}
  items: {live: 120, lifetime_days: 2, topics: 5}
  candidates: {k: 12}
  delay: {median_minutes: 10, sigma: 1.5}
serving: {slate: 5}
learner:
  model: {name: fm, embedding: 4}
  updating: {mode: incremental, batch_size: 128}
  publish_every_hours: 4
arms:
  - {name: control, share: 0.5, learner: {loss: {name: bce}}}
  - {name: reloop, share: 0.5, learner: {loss: {name: reloop, alpha: 0.3}}}
"""


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A scenario that runs in two seconds: warm-up, A/A and A/B of a day each."""
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY, encoding="utf-8")
    return path
