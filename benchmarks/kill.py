"""kill -9 at random moments under load, on a real broker: no example lost or learnt twice, and the same final model.

    python -m benchmarks.kill --times 50

A process of its own appends exposures and clicks at a steady rate. `python -m reloop_stream learn` reads them and is
killed at random moments and started again at once: every other time a random while after its start, and every other time
a random while after the first checkpoint that it has written since. At the end it runs to the end of
the topics, and a second learner, which nobody interrupts, reads the same topics from the beginning.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from reloop_stream.learners import digest
from reloop_stream.log.broker import Broker
from reloop_stream.state.checkpoint import Sections, read_checkpoint

__all__ = ["Plan", "measure"]

ATTRIBUTION_MINUTES = 5
CHECKPOINT_S = 0.3
END_TIMEOUT_S = 600
PATIENCE_S = 120.0  # for a first checkpoint
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


class Plan(NamedTuple):
    """What is done. pace: event seconds in a second of wall clock."""

    times: int = 50
    pace: float = 20.0
    per_second: int = 40
    partitions: int = 4
    encoding: str = "json"
    workers: int = 2
    seed: int = 1
    longest_s: float = 8.0  # between a start and the kill
    longest_at_work_s: float = 3.0  # between the first checkpoint after a start and the kill


class Learner:
    """The learn command on one folder, started as often as it takes."""

    def __init__(self, bootstrap: str, topics: tuple[str, str], folder: Path, plan: Plan) -> None:
        exposures, clicks = topics
        self.folder = folder
        self._command = [
            *(sys.executable, "-m", "reloop_stream", "learn", "--bootstrap", bootstrap),
            *("--exposures", exposures, "--clicks", clicks, "--checkpoint", str(folder), "--name", folder.name),
            *("--model", "fm", "--loss", "reloop", "--alpha", "0.2", "--base-rate", "0.1"),
            *("--set", "updating.batch_size=256", "--set", "publish_every_hours=0.1"),
            *("--attribution-minutes", str(ATTRIBUTION_MINUTES), "--tick-seconds", "10", "--idle-seconds", "10000"),
            *("--checkpoint-seconds", str(CHECKPOINT_S), "--workers", str(plan.workers), "--quiet"),
        ]

    def start(self, *more: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([*self._command, *more], env=ENVIRONMENT)

    def run_to_the_end(self) -> None:
        """Raises RuntimeError where it fails."""
        code = self.start("--until-end").wait(END_TIMEOUT_S)
        if code:
            raise RuntimeError(f"{self.folder.name}: learn --until-end ended with {code}")

    def saved(self) -> Sections:
        """Its checkpoint. Raises RuntimeError where there is none."""
        sections = read_checkpoint(self.folder / "checkpoint")
        if sections is None:
            raise RuntimeError(f"{self.folder}: has no checkpoint")
        return sections


class Learnt(NamedTuple):
    """What a learner has taken in. closed: exposures whose window has closed; each is learnt, or waits for its batch."""

    digest: str
    exposures: int
    copies: int
    closed: int
    waiting: int  # closed, in a micro-batch that is not full
    learnt: int
    open: int  # exposures whose window is open

    @classmethod
    def of(cls, sections: Sections) -> Learnt:
        meta, _ = sections.get("worker")
        parts = [sections.get(f"partition/{number}") for number in meta["partitions"]]
        counts = [part["counts"] for part, _ in parts]
        _, metrics = sections.get("observer")
        _, updater = sections.get("updater")
        return cls(
            digest(sections.get_bytes("learner")),
            sum(count["exposures"] for count in counts),
            sum(count["duplicate_exposures"] + count["stale"] for count in counts),
            int(metrics["since_start/served/sums"][0]),
            len(updater.get("foreign", ())),
            int(metrics["since_start/learner/sums"][0]),
            sum(len(arrays["clicked"]) for _, arrays in parts),
        )


def measure(bootstrap: str, topics: tuple[str, str], folder: Path, plan: Plan) -> dict[str, Any]:
    """Carry out a plan on a broker; the figures. Raises RuntimeError where a learner fails by itself."""
    chance = random.Random(plan.seed)
    load = subprocess.Popen(
        [
            *(sys.executable, "-m", "benchmarks.load", "--bootstrap", bootstrap, "--exposures", topics[0]),
            *("--clicks", topics[1], "--partitions", str(plan.partitions), "--seconds", str(10**9)),
            *("--pace", str(plan.pace), "--per-second", str(plan.per_second), "--encoding", plan.encoding),
        ],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
    )
    killed = Learner(bootstrap, topics, folder / "killed", plan)
    under_load = at_work = 0
    back_s: list[float] = []
    began = time.monotonic()
    try:
        _wait_for_topics(bootstrap, topics, load)
        for number in range(plan.times):
            before, started = _written(killed.folder), time.monotonic()
            process = killed.start()
            first: float | None = None
            moment = started + (chance.uniform(0, plan.longest_s) if number % 2 else PATIENCE_S)
            while (now := time.monotonic()) < moment and process.poll() is None:
                if first is None and _written(killed.folder) != before:
                    first = now - started
                    if not number % 2:
                        moment = now + chance.uniform(0, plan.longest_at_work_s)
                time.sleep(0.002)
            if process.poll() is not None:
                raise RuntimeError(f"learn ended by itself, with {process.returncode}")
            process.kill()
            process.wait()
            under_load += load.poll() is None
            at_work += first is not None
            back_s += [] if first is None else [first]
        load.terminate()
        produced = int(load.communicate(timeout=END_TIMEOUT_S)[0])
    finally:
        load.kill()
    killed.run_to_the_end()
    whole = Learner(bootstrap, topics, folder / "whole", plan)
    whole.run_to_the_end()
    one, other = Learnt.of(killed.saved()), Learnt.of(whole.saved())
    accounted = one.learnt + one.waiting + one.open
    return {
        "kills": plan.times,
        "kills_under_load": under_load,
        "kills_after_a_checkpoint": at_work,  # the others came while it was starting up
        "seconds_to_first_checkpoint": statistics.median(back_s) if back_s else float("nan"),
        "exposures": produced,
        "examples_learnt": one.learnt,
        "waiting_for_a_batch": one.waiting,
        "open_windows": one.open,
        "lost": max(0, produced - accounted),
        "learnt_twice": max(0, accounted - produced) + one.copies + abs(one.closed - one.learnt - one.waiting),
        "same_model": int(one == other),
        "wall_s": time.monotonic() - began,
    }


def _written(folder: Path) -> int | None:
    """When the checkpoint was written."""
    try:
        return (folder / "checkpoint").stat().st_mtime_ns
    except FileNotFoundError:
        return None


def _wait_for_topics(bootstrap: str, topics: tuple[str, str], load: subprocess.Popen[bytes]) -> None:
    from reloop_stream.errors import UnknownTopic
    from reloop_stream.log import open_log

    with open_log(f"kafka://{bootstrap}") as log:
        while load.poll() is None:
            try:
                for topic in topics:
                    log.partitions(topic)
                return
            except UnknownTopic:
                time.sleep(0.1)
    raise RuntimeError("the load ended before it began")


def main() -> None:
    usual = Plan()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=usual.times, help=f"kills (default: {usual.times})")
    parser.add_argument("--encoding", choices=["json", "arrow"], default=usual.encoding)
    parser.add_argument("--workers", type=int, default=usual.workers, help="of the learner (default: 2)")
    parser.add_argument("--seed", type=int, default=usual.seed, help="of the moments (default: 1)")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    chosen = parser.parse_args()
    plan = usual._replace(times=chosen.times, encoding=chosen.encoding, workers=chosen.workers, seed=chosen.seed)
    with tempfile.TemporaryDirectory(prefix="reloop-kill-") as folder, Broker(Path(folder) / "broker") as broker:
        figures = measure(broker.bootstrap, ("exposures", "clicks"), Path(folder), plan)
    if chosen.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:<28} {value:>12,.1f}" if isinstance(value, float) else f"{name:<28} {value:>12,}")
    if not figures["same_model"] or figures["lost"] or figures["learnt_twice"]:
        sys.exit(1)


if __name__ == "__main__":
    main()
