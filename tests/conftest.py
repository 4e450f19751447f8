"""Fixtures: those that the package has for everyone, and a small scenario."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytest_plugins = ["reloop_stream.testing.fixtures"]

ENDS_WITHIN_S = 5.0

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


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With -n, the tests of a file run in one process, for they share runs and brokers."""
    from xdist.scheduler import LoadFileScheduling

    config.option.loadscopereorder = False  # by it a long file of few tests would come last
    return LoadFileScheduling(config, log)


@pytest.fixture(scope="session", autouse=True)
def no_loss_of_power() -> Iterator[None]:
    """What a test kills is a process, never the machine: within this process no write waits for the disk."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="module", autouse=True)
def no_client_left_behind() -> Iterator[None]:
    """A client of Kafka's that nobody closes goes on asking for its broker; it draws from `random` while other tests run."""
    before = threading.enumerate()
    yield
    left = [one for one in threading.enumerate() if one.name.startswith("kafka-") and one not in before]
    for thread in left:
        thread.join(ENDS_WITHIN_S)
    assert not [thread.name for thread in left if thread.is_alive()]


_ahead = False


def pytest_runtest_setup(item: pytest.Item) -> None:
    """What children of slow tests are forked from is started once, and loads what any of them does."""
    global _ahead
    if not _ahead and sys.platform == "linux" and item.get_closest_marker("slow"):
        from multiprocessing import forkserver

        forkserver.set_forkserver_preload(["simulator.lab.crew"])
        forkserver.ensure_running()
        _ahead = True


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium of this module's tests: one for all of them, for it takes a second to start."""
    from tests.browser import chromium

    with chromium() as opened:
        yield opened


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A scenario that runs in two seconds: warm-up, A/A and A/B of a day each."""
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY, encoding="utf-8")
    return path
