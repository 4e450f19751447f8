"""A run as a user sees it: commands, exit codes, files; equal results whatever carries it; kill -9 and resume."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from reloop_stream.log.secured import SecuredListener
from reloop_stream.testing.fixtures import start_broker, start_secured_broker
from simulator.errors import RunFailed
from simulator.lab.run import start_run
from simulator.scenario import load_scenario

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def lab(*arguments: Any, timeout: float = 180) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "simulator", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=ENVIRONMENT, check=False)


def outcome(folder: Path) -> tuple[str, dict[str, str]]:
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["status"] == "finished"
    return (folder / "daily.csv").read_text(), manifest["digests"]


def run(scenario: Path, out: Path, *more: Any) -> tuple[str, dict[str, str]]:
    done = lab("run", scenario, "--out", out, "--workers", 1, "--quiet", *more)
    assert done.returncode == 0, done.stderr
    return outcome(out)


def test_a_run_leaves_what_it_promises(tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = lab("run", tiny, "--out", out, "--workers", 1)
    assert done.returncode == 0, done.stderr
    assert "uplift of reloop over control" in done.stdout and str(out / "report.html") in done.stdout
    assert "day 3/3 A/B" in done.stderr
    names = {path.name for path in out.iterdir()}
    wanted = {"config.yaml", "manifest.json", "daily.csv", "daily.parquet", "users.parquet", "segments.parquet"}
    assert wanted | {"results.json", "report.html", "plots", "log.txt", "events", "truth.csv"} <= names
    results = json.loads((out / "results.json").read_text())
    assert set(results["uplift"]["reloop"]) >= {"raw", "ab_minus_aa", "cuped"}
    assert results["truth"]["reloop"]["experiment"] is not None
    users, daily = pq.read_table(out / "users.parquet"), pq.read_table(out / "daily.parquet")
    assert sum(users["clicks"].to_pylist()) == sum(daily["clicks"].to_pylist()) > 0
    manifest = json.loads((out / "manifest.json").read_text())
    counted = manifest["counts"]["by_learner"]["reloop"]
    assert counted["unknown_clicks"] == counted["dead"] == 0 and counted["late"] > 0
    again = lab("run", tiny, "--out", out)
    assert again.returncode == 2 and "holds a run already" in again.stderr


def test_the_same_seed_repeats_the_run_and_workers_change_nothing(tiny: Path, tmp_path: Path) -> None:
    first = run(tiny, tmp_path / "a")
    assert lab("run", tiny, "--out", tmp_path / "b", "--workers", 2, "--quiet").returncode == 0
    assert outcome(tmp_path / "b") == first
    assert run(tiny, tmp_path / "c", "--seed", 2) != first


@pytest.mark.kafka
@pytest.mark.parametrize("encoding", ["arrow", "json"])
def test_kafka_and_the_embedded_log_give_the_same_run(
    tiny: Path, tmp_path: Path, kafka_url: str, encoding: str
) -> None:
    embedded = run(tiny, tmp_path / "embedded", "--set", f"log.encoding={encoding}")
    out = tmp_path / f"kafka-{encoding}-{os.getpid()}"
    done = lab(
        "run", tiny, "--out", out, "--log", kafka_url, "--workers", 2, "--quiet", "--set", f"log.encoding={encoding}"
    )
    assert done.returncode == 0, done.stderr
    assert outcome(out) == embedded


@pytest.mark.parametrize("mode", ["incremental", "window"])
@pytest.mark.parametrize("workers", [1, 2])
def test_kill_9_and_resume_equals_the_uninterrupted_run(tiny: Path, tmp_path: Path, mode: str, workers: int) -> None:
    updating = {
        "incremental": "{mode: incremental, batch_size: 100}",
        "window": "{mode: window, days: 0.8, every_hours: 6}",
    }
    # Alarms without end, so that what they do is going on when the process dies.
    action = {"incremental": "raise_rate", "window": "retrain"}[mode]
    monitor = f"{{detector: page_hinkley, block: 20, delta: 0.001, threshold: 0.05, rolling: 100, action: {action}}}"
    settings = ("--set", f"learner.updating={updating[mode]}", "--set", f"learner.monitor={monitor}")
    whole = run(tiny, tmp_path / "whole", *settings)
    out = tmp_path / "killed"
    command = [sys.executable, "-m", "simulator", "run", tiny, "--out", out, "--workers", workers, "--quiet", *settings]
    process = subprocess.Popen([*map(str, command)], env=ENVIRONMENT, stderr=subprocess.DEVNULL)
    # Once in A/A or before, once in A/B: wait for a checkpoint of the stage, then a moment more.
    for pattern in ("aa.worker.*", "ab.worker.*"):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and process.poll() is None:
            if list((out / "checkpoints").glob(pattern)):
                break
            time.sleep(0.01)
        time.sleep(0.1)
        process.send_signal(signal.SIGKILL)
        process.wait()
        command = [sys.executable, "-m", "simulator", "resume", out, "--workers", workers, "--quiet"]
        process = subprocess.Popen([*map(str, command)], env=ENVIRONMENT, stdout=subprocess.DEVNULL)
    assert process.wait(timeout=120) == 0
    assert outcome(out) == whole
    readings = (tmp_path / "whole" / "monitor.csv").read_text()
    assert (out / "monitor.csv").read_text() == readings and readings.count("\n") > 3 * 12


@pytest.mark.parametrize("aa", ["control", "own"])
def test_an_arm_of_another_model_resumes_while_the_version_before_the_fork_still_serves(
    tiny: Path, tmp_path: Path, aa: str
) -> None:
    own = "{loss: {name: reloop}, model: {name: lr}, publish_every_hours: 20}"
    settings = ("--set", f"arms.1.learner={own}", "--set", "truth.launch=true", "--set", f"experiment.aa={aa}")
    whole = run(tiny, tmp_path / "whole", *settings)
    out = tmp_path / "stopped"
    scenario = load_scenario(tiny, settings[1::2])
    with pytest.raises(RunFailed, match="stopped"):
        start_run(
            scenario, out, command="test", workers=1, quiet=True,
            should_stop=lambda: (out / "checkpoints" / "ab.server.reloop.ckpt").exists(),
        )  # fmt: skip
    assert lab("resume", out, "--quiet").returncode == 0
    assert outcome(out) == whole


def test_ctrl_c_keeps_what_was_done_and_resume_goes_on(tiny: Path, tmp_path: Path) -> None:
    whole = run(tiny, tmp_path / "whole")
    out = tmp_path / "stopped"
    command = [sys.executable, "-m", "simulator", "run", tiny, "--out", out, "--workers", 2]
    process = subprocess.Popen([*map(str, command)], env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not list((out / "checkpoints").glob("aa.worker.*")):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and "resume" in said and "Traceback" not in said
    assert json.loads((out / "manifest.json").read_text())["status"] == "interrupted"
    assert lab("resume", out, "--quiet").returncode == 0
    assert outcome(out) == whole


@pytest.mark.kafka
def test_a_broker_killed_in_mid_run_and_back_later_changes_nothing(tiny: Path, tmp_path: Path) -> None:
    broker = start_broker(tmp_path / "broker")
    try:
        whole = run(tiny, tmp_path / "whole")
        out = tmp_path / "survivor"
        command = [sys.executable, "-m", "simulator", "run", tiny, "--out", out, "--log", broker.address, "--quiet"]
        process = subprocess.Popen([*map(str, command)], env=ENVIRONMENT, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not list((out / "checkpoints").glob("aa.worker.*")):
            time.sleep(0.01)
        broker.kill()
        time.sleep(2)
        broker.start()
        assert process.wait(timeout=150) == 0
        assert outcome(out) == whole
    finally:
        broker.stop()


@pytest.mark.kafka
def test_a_broker_gone_for_good_is_a_clear_error_and_the_run_can_be_resumed(tiny: Path, tmp_path: Path) -> None:
    broker = start_broker(tmp_path / "broker")
    out = tmp_path / "orphan"
    try:
        command = [sys.executable, "-m", "simulator", "run", tiny, "--out", out, "--log", broker.address, "--quiet"]
        command += ["--set", "log.unavailable_after_s=4"]
        process = subprocess.Popen([*map(str, command)], env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not list((out / "checkpoints").glob("aa.worker.*")):
            time.sleep(0.01)
        broker.kill()
        _, said = process.communicate(timeout=150)
        assert process.returncode == 1
        assert "has not answered for 4 s" in said and f"resume {out}" in said and "Traceback" not in said
        broker.start()
        assert lab("resume", out, "--quiet").returncode == 0
        assert outcome(out)[0] == run(tiny, tmp_path / "whole")[0]
    finally:
        broker.stop()


@pytest.mark.kafka
def test_a_broker_that_asks_for_tls_and_a_password_gives_the_same_run(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = start_secured_broker(tmp_path / "broker", SecuredListener("SASL_SSL"))
    try:
        kafka = {**broker.client_settings, "sasl_plain_password": "env:KAFKA_PASSWORD"}
        out, log = tmp_path / "secured", ["--log", broker.secured_address, "--set", f"log.kafka={json.dumps(kafka)}"]
        without = lab("run", tiny, "--out", tmp_path / "without", "--quiet", *log)
        assert without.returncode == 2
        assert "sasl_plain_password: got env:KAFKA_PASSWORD, the environment has no such variable" in without.stderr
        password = broker.client_settings["sasl_plain_password"]
        monkeypatch.setitem(ENVIRONMENT, "KAFKA_PASSWORD", password)
        done = lab("run", tiny, "--out", out, "--workers", 2, "--quiet", *log)
        assert done.returncode == 0, done.stderr
        assert outcome(out) == run(tiny, tmp_path / "embedded")
        written = b"".join(path.read_bytes() for path in out.rglob("*") if path.is_file())
        assert password.encode() not in written and b"env:KAFKA_PASSWORD" in written
    finally:
        broker.stop()


MISTAKES: dict[str, tuple[list[str], str]] = {
    "misspelt key": (["--set", "serving.slat=5"], "serving.slat: unknown key, did you mean `slate`?"),
    "wrong type": (["--set", "serving.slate=many"], "serving.slate: got 'many'"),
    "shares": (["--set", "arms.0.share=0.7"], "the shares add up to 1.2"),
    "negative": (["--set", "phases.ab_days=-1"], "phases.ab_days: got -1"),
    "not a number": (["--set", "world.ctr=.nan"], "world.ctr"),
    "unknown choice": (["--set", "learner.model.name=gpt"], "learner.model.name"),
    "slate above candidates": (["--set", "serving.slate=13"], "must be at most world.candidates.k (12)"),
    "no such entry": (["--set", "arms.7.share=1"], "numbered from 0"),
    "no equals sign": (["--set", "arms"], "must be path.to.key=value"),
    "log": (["--log", "rabbit://x"], "log.url: got 'rabbit://x'"),
    "workers": (["--workers", "0"], "must be a whole number of at least 1"),
    "unreachable ctr": (["--set", "world.ctr=0.001"], "world.ctr: got 0.001"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_user_s_mistake_is_named_and_exits_with_2(tiny: Path, tmp_path: Path, name: str) -> None:
    arguments, said = MISTAKES[name]
    done = lab("run", tiny, "--out", tmp_path / "run", *arguments)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr and "Traceback" not in done.stderr


def test_a_missing_scenario_and_a_folder_that_is_no_run_are_mistakes(tmp_path: Path) -> None:
    missing, no_run = lab("run", tmp_path / "none.yaml"), lab("resume", tmp_path)
    assert missing.returncode == no_run.returncode == 2
    assert "no such file" in missing.stderr and "is no run folder" in no_run.stderr


def test_check_prints_a_scenario_that_checks_again(tiny: Path, tmp_path: Path) -> None:
    printed = lab("check", tiny)
    again = tmp_path / "again.yaml"
    again.write_text(printed.stdout)
    assert printed.returncode == 0 and lab("check", again).stdout == printed.stdout


def test_schema_is_json_schema() -> None:
    schema = json.loads(lab("schema").stdout)
    assert schema["$schema"].startswith("https://json-schema.org/") and "serving" in schema["properties"]
