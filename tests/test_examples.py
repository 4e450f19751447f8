"""The examples run as their README says."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
LINE = re.compile(r"version +(\d+)  exposures +([\d,]+)  CTR +([\d.]+)%  AUC of stamps ([\d.]+)")
PATIENCE_S = 150


def command(beginning: str) -> list[str]:
    """The words of the README's command that begins so."""
    joined = README.replace("\\\n", " ")
    (line,) = (line for line in joined.splitlines() if line.strip().startswith(beginning))
    return shlex.split(line)


def start(words: list[str], **changes: str) -> subprocess.Popen[str]:
    changed = [changes.get(word, word) for word in words[1:]]
    return subprocess.Popen(
        [sys.executable, *changed], cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def lines_of(process: subprocess.Popen[str], patience_s: float) -> Iterator[str]:
    """What it prints, line by line; fails where it ends, or when the time is over."""
    assert process.stdout is not None
    lines: queue.Queue[str] = queue.Queue()
    stdout = process.stdout

    def read() -> None:
        for line in stdout:
            lines.put(line)

    threading.Thread(target=read, daemon=True).start()
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        with contextlib.suppress(queue.Empty):
            yield lines.get(timeout=1)
        assert process.poll() is None, f"it ended with {process.returncode}"
    pytest.fail("it takes too long")


@pytest.mark.kafka
def test_serving_and_learner_together_make_ctr_and_the_stamps_auc_rise(kafka_url: str, tmp_path: Path) -> None:
    name = f"example-{uuid.uuid4().hex[:8]}"
    places = {"127.0.0.1:9092": kafka_url.removeprefix("kafka://"), "learner/": str(tmp_path / "learner")}
    topics = {"exposures": f"{name}.exposures", "clicks": f"{name}.clicks"}
    serving = start(
        [
            *command("python examples/serving.py"), "--exposures", "exposures", "--clicks", "clicks",
            "--snapshots-topic", f"{name}.snapshots", "--report-seconds", "3", "--rate", "400",
        ],
        **places, **topics,
    )  # fmt: skip
    learner = None
    lines: list[tuple[int, float, float]] = []
    try:
        for line in lines_of(serving, PATIENCE_S):
            version, _, ctr, auc = LINE.findall(line)[0]
            lines.append((int(version), float(ctr), float(auc)))
            if learner is None:
                learner = start([*command("python -m reloop_stream learn"), "--name", name], **places, **topics)
            if lines[-1][0] >= 3 and lines[-1][2] > 0.65:
                break
        assert lines[0][0] == 0 and lines[0][2] == 0.5
        assert lines[-1][0] >= 3 and lines[-1][2] > 0.65 and lines[-1][1] > 1.3 * lines[0][1]
    finally:
        serving.send_signal(signal.SIGINT)
        said = serving.communicate(timeout=60)[1]
        if learner is not None:
            learner.terminate()
            learner.communicate(timeout=60)
    assert serving.returncode == 130 and learner is not None and learner.returncode == 0
    assert "Traceback" not in said
    inspect = start([*command("python -m reloop_stream inspect"), "--json"], **places)
    checkpoint = json.loads(inspect.communicate(timeout=60)[0])["checkpoint"]
    assert checkpoint["seen"]["joined"] > 100 and checkpoint["seen"]["dead"] == 0
    assert {one["topic"] for one in checkpoint["partitions"]} == set(topics.values())
