"""Which version serves when, and how far a learner may lie behind."""

from __future__ import annotations

from typing import Any

import pytest

from reloop_stream.config import LearnerConfig
from reloop_stream.learners import BaseRate, freeze_from_bytes
from reloop_stream.log import Partition, open_log
from reloop_stream.log.topics import Topics
from reloop_stream.serving.snapshot import Published
from reloop_stream.state.checkpoint import Sections
from simulator.experiment.calendar import Calendar
from simulator.scenario import Phase
from simulator.serving.deployments import AnnouncedVersions, Deployments, VersionFiles, worker_lag

HOUR_MS = 3_600_000


def calendar(tick_minutes: int = 30, phase: Phase = "aa") -> Calendar:
    return Calendar.regular(
        start_ms=0, tick_ms=tick_minutes * 60_000, day_ms=24 * HOUR_MS, days={phase: 1}, attribution_ms=HOUR_MS
    )


def deployments(delay_ms: int, every_ms: int = 3 * HOUR_MS, phase: Phase = "aa", **more: Any) -> Deployments:
    days = calendar(phase=phase)
    return Deployments(days, days.publish_ticks(every_ms), delay_ms, BaseRate(0.1), LearnerConfig(), **more)


@pytest.mark.parametrize("tick_minutes, delay_h, lag", [(30, 1, 2), (60, 1, 1), (60, 0, 0), (10, 1, 6), (30, 0, 0)])
def test_a_learner_may_lag_by_the_deploy_delay(tick_minutes: int, delay_h: int, lag: int) -> None:
    assert worker_lag(calendar(tick_minutes), delay_h * HOUR_MS) == lag


def test_a_version_serves_once_its_delay_has_passed() -> None:
    found = deployments(HOUR_MS)
    for tick in (5, 11):
        found.offer(Published("x", 1, tick, 0, BaseRate(0.2 if tick == 5 else 0.3)))
    rates = [found.due(tick).rate for tick in range(20)]  # type: ignore[attr-defined]
    # Published at the end of ticks 5 (3 h) and 11 (6 h): an hour, two ticks, later they serve.
    assert rates == [0.1] * 8 + [0.2] * 6 + [0.3] * 6


def test_in_the_warm_up_the_base_rate_serves_and_versions_do_not_pile_up() -> None:
    found = deployments(0, HOUR_MS, phase="warmup")
    for tick in range(40):
        if tick % 2:
            found.offer(Published("x", tick, tick, 0, BaseRate(0.2)))
        assert found.serving(tick).rate == 0.1  # type: ignore[attr-defined]
        assert len(found.offered) <= 2


def test_a_due_version_that_never_came_is_an_error_and_not_a_wait() -> None:
    with pytest.raises(RuntimeError, match="the version of tick 5 is due and was not published"):
        deployments(0).due(6)


def test_versions_survive_a_checkpoint() -> None:
    found, again = deployments(HOUR_MS), deployments(HOUR_MS)
    found.offer(Published("x", 1, 5, 0, BaseRate(0.25, "kept")))
    sections = Sections()
    found.put_into(sections)
    again.get_from(Sections.from_bytes(sections.to_bytes()), lambda data, config: freeze_from_bytes(data, [], config))
    assert again.due(10).name == "kept"


def test_versions_before_a_tick_are_deleted_of_the_one_learner(tmp_path: Any) -> None:
    folder = VersionFiles(tmp_path)
    for learner in ("x", "y"):
        for tick in (0, 3, 6):
            folder.write(Published(learner, tick, tick, 0, BaseRate(0.1)))
    folder.forget("x", 4)
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["x-00000006", "y-00000000", "y-00000003", "y-00000006"]


def test_a_malformed_announcement_is_passed_over_and_the_next_one_is_served(
    tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    log, folder = open_log(tmp_path / "events"), VersionFiles(tmp_path / "snapshots")
    log.create_topics({"snapshots": 1})
    folder.write(Published("x", 1, 5, 0, BaseRate(0.25, "kept")))
    producer = log.producer()
    for value in (
        b"\xff",
        b"[]",
        b'{"learner": "x", "tick": "../5"}',
        b'{"learner": "x", "version": 1, "tick": 5, "watermark_ms": 0}',
    ):
        producer.append(Partition("snapshots", 0), value)
    producer.close()
    source = AnnouncedVersions(
        log, Topics.of(""), "x", folder, lambda data: freeze_from_bytes(data, [], LearnerConfig())
    )
    (published,) = source.poll(1.0)
    assert (published.version, published.tick, published.model.name) == (1, 5, "kept")
    assert caplog.text.count("is no announcement of a version") == 3 and "snapshots[0] offset 1" in caplog.text
