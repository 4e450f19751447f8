"""What a new version costs the requests that are being scored: latency while versions come, over latency without."""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.losses import FIELDS, batches, learner
from benchmarks.output import arguments, show
from reloop_stream.config import LearnerConfig
from reloop_stream.learners import Learner
from reloop_stream.runtime.torch_state import one_thread
from reloop_stream.serving.publisher import SnapshotPublisher
from reloop_stream.serving.scorer import Scorer
from reloop_stream.serving.snapshot import Published

CONFIG = LearnerConfig.model_validate({"model": {"name": "deepfm", "embedding": 8}, "loss": {"name": "reloop"}})
CANDIDATES = 30  # rows a request
SECONDS = 5.0  # of scoring, with and without versions that come
VERSIONS_A_SECOND = 4.0
REFRESH_S = 0.05


def publish_steadily(folder: Path, seconds: float) -> None:
    """What a learner's process does, except for the learning."""
    of = learner("reloop")
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        publish(folder, of)
        time.sleep(1 / VERSIONS_A_SECOND)


def publish(folder: Path, of: Learner) -> None:
    model = of.publish()
    SnapshotPublisher(CONFIG, FIELDS, folder=folder).publish(Published("benchmark", model.version, 0, 0, model))


def latencies(scorer: Scorer, seconds: float) -> tuple[np.ndarray, int]:
    """Seconds that each request took, one after the other, and how often the version changed meanwhile."""
    features = {name: column[:CANDIDATES] for name, column in batches(1)[0].exposures.features.items()}  # type: ignore[index]
    taken, changes, version = [], 0, scorer.version
    began = time.perf_counter()
    while (at := time.perf_counter()) - began < seconds:
        scores = scorer.score(features)
        taken.append(time.perf_counter() - at)
        changes += scores.model_version != version
        version = scores.model_version
    return np.array(taken), changes


def measure(swapping: bool) -> tuple[np.ndarray, int]:
    with tempfile.TemporaryDirectory(prefix="reloop-bench-") as name:
        folder = Path(name)
        publish(folder, learner("reloop"))
        process = multiprocessing.get_context("spawn").Process(target=publish_steadily, args=(folder, 60.0))
        with Scorer(folder, base_rate=0.1, refresh_s=REFRESH_S) as scorer:
            if swapping:
                process.start()
                deadline = time.monotonic() + 60
                while scorer.version < 2 and time.monotonic() < deadline:
                    time.sleep(0.01)
            found = latencies(scorer, SECONDS)
            if swapping:
                process.terminate()
                process.join()
            return found


@one_thread()
def main() -> None:
    chosen = arguments(__doc__)
    quiet, swapping, changes = [], [], 0
    for _ in range(chosen.pairs):
        quiet.append(measure(swapping=False)[0])
        taken, changed = measure(swapping=True)
        swapping.append(taken)
        changes += changed
    figures = {"swaps": float(changes)}
    for name, taken in (("quiet", np.concatenate(quiet)), ("swapping", np.concatenate(swapping))):
        for percentile in (50, 99, 99.9):
            figures[f"{name}_p{percentile:g}_ms"] = float(np.percentile(taken, percentile)) * 1000
        figures[f"{name}_max_ms"] = float(taken.max()) * 1000
    ratio = figures["swapping_p99_ms"] / figures["quiet_p99_ms"]
    show({"swap_p99_ratio": ratio, **figures}, chosen.json)


if __name__ == "__main__":
    main()
