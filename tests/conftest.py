"""Fixtures: a real Kafka broker, both logs, small scenarios."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from reloop_stream.log import EventLog, open_log
from reloop_stream.log.broker import Broker


def broker_or_skip(folder: Path) -> Broker:
    """A broker by this machine's Java and Maven; without them a local run skips loudly, and CI fails."""
    if shutil.which("java") and shutil.which("mvn"):
        return Broker(folder).start()
    reason = "NO KAFKA TEST RAN: there is neither Java 17 with Maven nor RELOOP_KAFKA=HOST:PORT"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


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
