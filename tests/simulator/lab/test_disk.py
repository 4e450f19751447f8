"""Whether a run's events find room on its disk is told before it begins."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.errors import RunFolderError
from simulator.lab.disk import check_disk, event_bytes
from simulator.lab.run import start_run
from simulator.scenario import Scenario, find_scenario, load_scenario

N = 126_000_000


def scenario(*settings: str) -> Scenario:
    return load_scenario(find_scenario("paper-scale"), settings)


def test_a_log_holds_the_windows_of_its_learners_or_everything() -> None:
    a_day = 95 * N / 14
    assert event_bytes(scenario(), N) == pytest.approx((3 + (1 + 2 * 12) / 24) * a_day, rel=1e-6)
    assert event_bytes(scenario("log.retention=all"), N) == 95 * N
    assert event_bytes(scenario("truth.launch=true"), N) > 95 * N  # launches read it again, and write logs of their own
    assert event_bytes(scenario("log.retention=all", "log.encoding=json"), N) == 520 * N
    tuned = event_bytes(scenario("learner.updating={mode: fine_tune, every_hours: 36}"), N)
    assert tuned == event_bytes(scenario(), N)  # up to twice what is learnt at once
    assert event_bytes(scenario("learner.updating={mode: incremental}"), N) < tuned / 3
    assert event_bytes(scenario("phases={warmup_days: 0, aa_days: 1, ab_days: 1}"), N) == 95 * N


def test_a_run_that_no_disk_holds_is_refused_before_there_is_a_folder(tmp_path: Path) -> None:
    huge = scenario("world.users.n=50000000", "phases.ab_days=3000", "log={retention: all, encoding: json}")
    out = tmp_path / "not there" / "run"
    with pytest.raises(
        RunFolderError, match=r"--out: the events of this run take about .* GB free; choose another disk"
    ):
        start_run(huge, out, command="test", quiet=True)
    assert not out.parent.exists()
    assert check_disk(huge, None, out) == []  # nobody knows how long a stream is
    assert check_disk(scenario("world.users.n=10"), 100, out) == []
