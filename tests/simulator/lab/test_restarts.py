"""A run that is killed, stopped or left by its broker ends as one that never was."""

from __future__ import annotations

import functools
import itertools
import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reloop_stream.testing.fixtures import start_broker
from simulator.errors import RunFailed
from simulator.lab.place import RunPlace
from simulator.lab.run import resume_run, start_run
from simulator.scenario import load_scenario
from tests.processes import wait_until
from tests.simulator.runs import lab, outcome, start

pytestmark = pytest.mark.slow

Whole = Callable[..., Path]


def sets(overrides: tuple[str, ...]) -> list[str]:
    return [f"--set={override}" for override in overrides]


UPDATING = {
    "incremental": "{mode: incremental, batch_size: 100}",
    "window": "{mode: window, days: 0.8, every_hours: 6}",
}
# Alarms without end, so that what they do is going on when the process dies.
ACTION = {"incremental": "raise_rate", "window": "retrain"}
ALARMED = "{{detector: page_hinkley, block: 20, delta: 0.001, threshold: 0.05, rolling: 100, action: {}}}"


@pytest.mark.parametrize("mode, workers", [("incremental", 1), ("window", 2)])
def test_kill_9_and_resume_equals_the_uninterrupted_run(
    tiny: Path, tmp_path: Path, whole: Whole, mode: str, workers: int
) -> None:
    monitor = f"learner.monitor={ALARMED.format(ACTION[mode])}"
    settings = f"learner.updating={UPDATING[mode]}", monitor, "truth.bounds=true"
    out = tmp_path / "killed"
    process = start("run", tiny, "--out", out, "--workers", workers, "--quiet", *sets(settings))
    for stage in ("aa", "ab"):  # once in A/A or before, once in A/B: when the stage has its first checkpoint
        wait_until(lambda stage=stage: list((out / "checkpoints").glob(f"{stage}.worker.*")), process)  # type: ignore[misc]
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        if stage == "aa":
            process = start("resume", out, "--workers", workers, "--quiet")
    assert lab("resume", out, "--workers", workers, "--quiet").code == 0
    assert outcome(out) == outcome(whole(*settings))
    assert outcome(out)[1].count("\n") > 3 * 12  # the monitors spoke in every tick


@pytest.mark.parametrize("aa, workers", [("control", 2), ("own", 1)])
def test_an_arm_of_another_model_resumes_while_the_version_before_the_fork_still_serves(
    tiny: Path, tmp_path: Path, whole: Whole, aa: str, workers: int
) -> None:
    own = "{loss: {name: reloop}, model: {name: lr}, publish_every_hours: 20}"
    settings = f"arms.1.learner={own}", "truth={launch: true, bounds: true}", f"experiment.aa={aa}"
    out = tmp_path / "stopped"
    with pytest.raises(RunFailed, match="stopped"):
        start_run(
            load_scenario(tiny, settings), out, command="test", workers=1, quiet=True,
            should_stop=lambda: (out / "checkpoints" / "ab.server.reloop.ckpt").exists(),
        )  # fmt: skip
    resume_run(out, workers=workers, quiet=True)
    assert outcome(out) == outcome(whole(*settings))
    assert {"bounds.csv", "items.parquet", "topics.parquet", "reliability.csv"} <= outcome(out)[3].keys()


# Trainings that take nearly all of a run's time.
LONG = "learner.updating={mode: window, days: 0.8, every_hours: 12, passes: 6, batch_size: 64}", "truth.launch=true"


@pytest.mark.parametrize("asked", [43, 62, 103, 178])
def test_a_run_stopped_in_the_middle_of_a_training_and_resumed_equals_the_uninterrupted_one(
    tiny: Path, tmp_path: Path, whole: Whole, asked: int
) -> None:
    times = 0

    def should_stop() -> bool:  # in A/A, as A/B reads the window again, in A/B, in a launch
        nonlocal times
        times += 1
        return times > asked

    out = tmp_path / "stopped"
    with pytest.raises(RunFailed, match="stopped"):
        start_run(load_scenario(tiny, LONG), out, command="test", workers=1, quiet=True, should_stop=should_stop)
    assert not (out / "users.parquet").exists()
    resume_run(out, workers=1, quiet=True)
    assert outcome(out) == outcome(whole(*LONG))


def test_windows_that_are_read_from_the_log_again_change_nothing_of_a_run(whole: Whole) -> None:
    assert outcome(whole(*LONG, "learner.updating.held_mib=0")) == outcome(whole(*LONG))


@pytest.mark.parametrize("data, workers", [("shared", 2), ("co_diverted", 1)])
@pytest.mark.parametrize("mode", UPDATING)
def test_learners_that_were_apart_in_a_a_read_everything_in_a_b_from_the_fork_on(
    tiny: Path, tmp_path: Path, whole: Whole, data: str, workers: int, mode: str
) -> None:
    settings = f"learner.updating={UPDATING[mode]}", "experiment.aa=own", f"experiment.data={data}"
    manifest = json.loads((whole(*settings) / "manifest.json").read_text())
    by_learner = manifest["counts"]["by_learner"]
    assert by_learner["control"] == by_learner["reloop"]  # each has seen all of both
    assert by_learner["control"]["unknown_clicks"] == by_learner["control"]["dead"] == 0
    out = tmp_path / "stopped"
    with pytest.raises(RunFailed, match="stopped"):
        start_run(
            load_scenario(tiny, settings), out, command="test", workers=1, quiet=True,
            should_stop=lambda: (out / "checkpoints" / "ab.worker.reloop.ckpt").exists(),
        )  # fmt: skip
    resume_run(out, workers=workers, quiet=True)
    assert outcome(out) == outcome(whole(*settings))


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A broker of these tests' own, which they kill and start again."""
    broker = start_broker(tmp_path_factory.mktemp("mortal"))
    yield broker
    broker.stop()


@pytest.mark.kafka
def test_a_broker_killed_in_mid_run_and_back_later_changes_nothing(
    tiny: Path, tmp_path: Path, whole: Whole, mortal: Any
) -> None:
    out = tmp_path / "survivor"
    process = start("run", tiny, "--out", out, "--log", mortal.address, "--workers", 2, "--quiet")
    wait_until(lambda: list((out / "checkpoints").glob("aa.worker.*")), process)
    mortal.kill()
    time.sleep(2)
    assert process.poll() is None  # it waits
    mortal.start()
    assert process.wait(timeout=150) == 0
    assert outcome(out) == outcome(whole())


@pytest.mark.kafka
def test_a_broker_gone_for_good_is_a_clear_error_and_the_run_can_be_resumed(
    tiny: Path, tmp_path: Path, whole: Whole, mortal: Any
) -> None:
    out = tmp_path / "orphan"
    process = start("run", tiny, "--out", out, "--log", mortal.address, "--quiet", "--set=log.unavailable_after_s=2")
    wait_until(lambda: list((out / "checkpoints").glob("aa.worker.*")), process)
    mortal.kill()
    _, said = process.communicate(timeout=150)
    assert process.returncode == 1
    assert "has not answered for 2 s" in said and "log.unavailable_after_s" in said
    assert f"resume {out}" in said and "Traceback" not in said
    mortal.start()
    assert lab("resume", out, "--quiet").code == 0
    assert outcome(out) == outcome(whole())


def test_a_run_of_before_ticks_were_taken_at_once_goes_on_tick_by_tick(
    tiny: Path, tmp_path: Path, whole: Whole, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, asked = tmp_path / "old", itertools.count()
    with monkeypatch.context() as patched:
        patched.setattr("simulator.lab.run.RunPlace", functools.partial(RunPlace, at_once=0))
        with pytest.raises(RunFailed, match="stopped"):
            start_run(
                load_scenario(tiny), out, command="test", workers=1, quiet=True, should_stop=lambda: next(asked) > 20
            )
    assert "at_once" not in json.loads((out / "manifest.json").read_text()) and list((out / "checkpoints").iterdir())
    resume_run(out, workers=1, quiet=True)
    assert outcome(out) == outcome(whole())
