"""A run as a user sees it: commands, exit codes, files; Ctrl-C; equal results whatever carries it."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from reloop_stream.log.secured import SecuredListener
from reloop_stream.testing.fixtures import start_secured_broker
from tests.processes import children_of, wait_until
from tests.simulator.runs import lab, outcome, start

pytestmark = pytest.mark.slow

Whole = Callable[..., Path]


def test_a_run_leaves_what_it_promises(tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = lab("run", tiny, "--out", out, "--workers", 1)
    assert done.code == 0, done.err
    assert "uplift of reloop over control" in done.out and str(out / "report.html") in done.out
    assert "day 3/3 A/B" in done.err
    names = {path.name for path in out.iterdir()}
    wanted = {"config.yaml", "manifest.json", "daily.csv", "daily.parquet", "users.parquet", "segments.parquet"}
    assert wanted | {"results.json", "report.html", "plots", "log.txt", "events", "truth.csv"} <= names
    assert names.isdisjoint({"days", "monitor", "versions", "truth"})  # what only an unfinished run needs
    results = json.loads((out / "results.json").read_text())
    assert set(results["uplift"]["reloop"]) >= {"raw", "ab_minus_aa", "cuped"}
    assert results["truth"]["reloop"]["experiment"] is not None
    users, daily = pq.read_table(out / "users.parquet"), pq.read_table(out / "daily.parquet")
    assert sum(users["clicks"].to_pylist()) == sum(daily["clicks"].to_pylist()) > 0
    manifest = json.loads((out / "manifest.json").read_text())
    counted = manifest["counts"]["by_learner"]["reloop"]
    assert counted["unknown_clicks"] == counted["dead"] == 0 and counted["late"] > 0
    assert manifest["command"].startswith("python -m simulator run ") and manifest["workers"] == 1
    again = lab("run", tiny, "--out", out)
    assert again.code == 2 and "holds a run already" in again.err


def test_the_same_seed_repeats_the_run_and_workers_change_nothing(tiny: Path, tmp_path: Path, whole: Whole) -> None:
    done = lab("run", tiny, "--out", tmp_path / "two", "--workers", 2, "--quiet")
    assert (done.code, done.err) == (0, "")
    assert outcome(tmp_path / "two") == outcome(whole())
    assert outcome(whole("seed.world=2", "seed.model=2")) != outcome(whole())


def test_a_scenario_that_comes_along_runs_by_its_name_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    small = [f"--set={key}" for key in ("world.users.n=200", "phases={warmup_days: 1, aa_days: 0, ab_days: 0}")]
    done = lab("run", "quickstart", "--quiet", *small)
    assert done.code == 0, done.err
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.startswith("quickstart-") and (folder / "report.html").exists()


@pytest.mark.kafka
@pytest.mark.parametrize("encoding, workers", [("arrow", 2), ("json", 1)])
def test_kafka_and_the_embedded_log_give_the_same_run(
    tiny: Path, tmp_path: Path, kafka_url: str, whole: Whole, encoding: str, workers: int
) -> None:
    out, setting = tmp_path / f"kafka-{encoding}-{os.getpid()}", f"log.encoding={encoding}"
    done = lab("run", tiny, "--out", out, "--log", kafka_url, "--workers", workers, "--quiet", "--set", setting)
    assert done.code == 0, done.err
    assert outcome(out) == outcome(whole(setting))


@pytest.mark.kafka
def test_a_broker_that_asks_for_tls_and_a_password_gives_the_same_run(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: Whole
) -> None:
    broker = start_secured_broker(tmp_path / "broker", SecuredListener("SASL_SSL"))
    try:
        kafka = {**broker.client_settings, "sasl_plain_password": "env:KAFKA_PASSWORD"}
        out, log = tmp_path / "secured", ["--log", broker.secured_address, "--set", f"log.kafka={json.dumps(kafka)}"]
        without = lab("run", tiny, "--out", tmp_path / "without", "--quiet", *log)
        assert without.code == 2
        assert "sasl_plain_password: got env:KAFKA_PASSWORD, the environment has no such variable" in without.err
        password = broker.client_settings["sasl_plain_password"]
        monkeypatch.setenv("KAFKA_PASSWORD", password)
        done = lab("run", tiny, "--out", out, "--workers", 2, "--quiet", *log)
        assert done.code == 0, done.err
        assert outcome(out) == outcome(whole())
        written = b"".join(path.read_bytes() for path in out.rglob("*") if path.is_file())
        assert password.encode() not in written and b"env:KAFKA_PASSWORD" in written
    finally:
        broker.stop()


def test_ctrl_c_keeps_what_was_done_and_resume_goes_on(tiny: Path, tmp_path: Path, whole: Whole) -> None:
    out = tmp_path / "stopped"
    process = start("run", tiny, "--out", out, "--workers", 2)
    wait_until(lambda: list((out / "checkpoints").glob("aa.worker.*")), process)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and f"resume {out}" in said and "Traceback" not in said
    assert json.loads((out / "manifest.json").read_text())["status"] == "interrupted"
    assert lab("resume", out, "--quiet").code == 0
    assert outcome(out) == outcome(whole())


@pytest.mark.skipif(sys.platform != "linux", reason="finds the run's processes in /proc")
def test_a_second_ctrl_c_waits_for_nobody_and_breaks_nothing(tiny: Path, tmp_path: Path, whole: Whole) -> None:
    out = tmp_path / "stopped"
    process = start("run", tiny, "--out", out, "--workers", 2, "--quiet")
    wait_until(lambda: list((out / "checkpoints").glob("aa.worker.*")), process)
    children = children_of(process)
    for child in children:
        os.kill(child, signal.SIGSTOP)  # they will not answer
    said = ""
    assert process.stderr is not None
    for word in ("saving what was done", "stopping at once"):
        process.send_signal(signal.SIGINT)
        while word not in said:
            said += process.stderr.readline()
    rest = process.communicate(timeout=30)[1]
    assert process.returncode == 130 and f"resume {out}" in rest and "Traceback" not in said + rest
    assert children and not any(Path(f"/proc/{child}").exists() for child in children)
    assert lab("resume", out, "--quiet").code == 0
    assert outcome(out) == outcome(whole())


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
def test_a_user_s_mistake_is_named_and_exits_with_2_before_there_is_a_folder(
    tiny: Path, tmp_path: Path, name: str
) -> None:
    arguments, said = MISTAKES[name]
    done = lab("run", tiny, "--out", tmp_path / "run", *arguments)
    assert (done.code, done.out) == (2, "") and said in done.err
    assert not (tmp_path / "run").exists()


def test_a_missing_scenario_and_a_folder_that_is_no_run_are_mistakes(tmp_path: Path) -> None:
    missing, unknown, no_run = lab("run", tmp_path / "none.yaml"), lab("run", "quickstrat"), lab("resume", tmp_path)
    assert missing.code == unknown.code == no_run.code == 2
    assert "no such file" in missing.err and "is no run folder" in no_run.err
    assert "did you mean 'quickstart'" in unknown.err


def test_a_mistake_ends_a_process_with_2_and_without_a_traceback(tiny: Path) -> None:
    process = start("run", tiny, "--set", "serving.slat=5")
    _, said = process.communicate(timeout=60)
    assert process.returncode == 2 and said.startswith("error: ") and "Traceback" not in said
