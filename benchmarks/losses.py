"""What ReLoop costs: its training step over cross-entropy's, on the same rows."""

from __future__ import annotations

import statistics
import time

import numpy as np

from benchmarks.output import arguments, show
from reloop_stream.config import FieldConfig, LearnerConfig
from reloop_stream.events import ExampleBatch, ExposureBatch, constant
from reloop_stream.learners import Learner, make_learner
from reloop_stream.runtime.torch_state import one_thread

SIZES = (20_000, 7, 5, 4, 24, 1 << 15, 20, 8)
FIELDS = [FieldConfig(name=f"f{i}", mode="exact", buckets=size) for i, size in enumerate(SIZES)]
BATCH = 1024
STEPS = 60


def batches(n: int, seed: int = 0) -> list[ExampleBatch]:
    """Batches of random rows with 8 fields, clicked at 8%."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(n):
        features = {field.name: rng.integers(0, field.buckets, BATCH).astype(np.int32) for field in FIELDS}
        ids = np.arange(BATCH)
        exposures = ExposureBatch(
            ids, ids, ids, ids, ids, constant("a", BATCH), constant(0, BATCH, np.int32), constant(30, BATCH, np.int32),
            constant("m", BATCH), constant(1, BATCH, np.int64), rng.uniform(0, 0.2, BATCH), constant(0.1, BATCH), features,
        )  # fmt: skip
        label = (rng.random(BATCH) < 0.08).astype(np.uint8)
        found.append(ExampleBatch(exposures, label, ids, label))
    return found


def learner(loss: str) -> Learner:
    config = LearnerConfig.model_validate({"model": {"name": "deepfm", "embedding": 8}, "loss": {"name": loss}})
    return make_learner(config, FIELDS, name="benchmark", seed=1, base_rate=0.08)


def seconds(of: Learner, data: list[ExampleBatch]) -> float:
    started = time.perf_counter()
    for batch in data:
        of.learn(batch)
    return time.perf_counter() - started


@one_thread()
def main() -> None:
    chosen = arguments(__doc__, pairs=15)
    data = batches(STEPS)
    plain, reloop = learner("bce"), learner("reloop")
    for one in (plain, reloop):
        seconds(one, data)
    times = [(seconds(plain, data), seconds(reloop, data)) for _ in range(chosen.pairs)]
    rows = STEPS * BATCH
    show(
        {
            "reloop_step_ratio": statistics.median(b for _, b in times) / statistics.median(a for a, _ in times),
            "bce_rows_per_s": rows / statistics.median(a for a, _ in times),
            "reloop_rows_per_s": rows / statistics.median(b for _, b in times),
        },
        chosen.json,
    )


if __name__ == "__main__":
    main()
