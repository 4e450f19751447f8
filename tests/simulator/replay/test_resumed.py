"""A replay that is killed or stopped ends as one that never was: days, blocks, models."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from simulator.errors import RunFailed
from simulator.lab.run import resume_run, start_run
from simulator.scenario import to_yaml
from tests.processes import wait_until
from tests.simulator.datasets.logged import write
from tests.simulator.replay.described import scenario
from tests.simulator.runs import lab, outcome, start

pytestmark = pytest.mark.slow

ARMS = [
    {"name": "control", "learner": {"updating": {"batch_size": 32}}},
    {"name": "window", "learner": {"updating": {"mode": "window", "days": 1.5, "every_hours": 12}}},
    {"name": "reloop", "learner": {"loss": {"name": "reloop", "alpha": 0.5}}},
]
# Many ticks a day, and a checkpoint at least every second one, so that days are open when it is taken.
CUT = {"tick_events": 10, "period_events": 150}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    described = scenario(write(folder, "csv") | CUT, arms=ARMS, checkpoint_every_hours=3)
    (folder / "scenario.yaml").write_text(to_yaml(described), encoding="utf-8")
    start_run(described, folder / "run", command="", workers=1, quiet=True)
    assert (folder / "run" / "blocks.csv").read_text().count("\n") == 1 + 3 * 4 * 15
    return folder


@pytest.mark.parametrize("workers, log", [(1, "embedded"), pytest.param(2, "kafka", marks=pytest.mark.kafka)])
def test_a_replay_killed_in_either_phase_and_resumed_equals_the_uninterrupted_one(
    whole: Path, tmp_path: Path, workers: int, log: str, request: pytest.FixtureRequest
) -> None:
    out = tmp_path / f"killed-{os.getpid()}"
    url = request.getfixturevalue("kafka_url") if log == "kafka" else log
    process = start("run", whole / "scenario.yaml", "--out", out, "--workers", workers, "--quiet", "--log", url)
    for stage in ("aa", "ab"):
        wait_until(lambda stage=stage: list((out / "checkpoints").glob(f"{stage}.worker.*")), process)  # type: ignore[misc]
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        if stage == "aa":
            process = start("resume", out, "--workers", workers, "--quiet")
    assert lab("resume", out, "--workers", workers, "--quiet").code == 0
    assert outcome(out) == outcome(whole / "run")


@pytest.mark.parametrize("ticks, workers", [(22, 1), (52, 2)])
def test_a_replay_stopped_in_the_middle_of_a_day_and_resumed_equals_the_uninterrupted_one(
    whole: Path, tmp_path: Path, ticks: int, workers: int
) -> None:
    left = iter(range(ticks))
    described = scenario(write(whole, "csv") | CUT, arms=ARMS, checkpoint_every_hours=1e6)
    with pytest.raises(RunFailed, match="stopped"):
        start_run(
            described, tmp_path / "run", command="", workers=1, quiet=True, should_stop=lambda: next(left, None) is None
        )
    resume_run(tmp_path / "run", workers=workers, quiet=True)
    assert outcome(tmp_path / "run") == outcome(whole / "run")
