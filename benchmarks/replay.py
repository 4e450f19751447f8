"""Replaying a data set: rows read a second by format, and a paired replay beside plain torch on the same rows.

Read: a million rows of ten categories, from the file to rows in order on disk, in one process. loop_over_plain: two arms, each
stamping and learning every row (DeepFM of 10 fields × 8 with an MLP of 64-32, batches of 1,024); plain torch scores each row
and trains on it, one process an arm. The start of processes is counted in neither, nor is the reading.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.output import arguments, show
from benchmarks.plain import plain_rate
from simulator.lab.run import start_run
from simulator.replay.stream import prepare_rows
from simulator.scenario import Scenario, parse_scenario

ROWS = 1_000_000
FIELDS = 10
VALUES = 5_000
FORMATS = ("libfm", "csv", "parquet")
TICK, DAYS = 5_000, 4


def write(folder: Path) -> None:
    """The same rows in each format."""
    rng = np.random.default_rng(0)
    values = np.minimum(rng.zipf(1.3, (ROWS, FIELDS)), VALUES - 1)
    frame = pd.DataFrame({f"f{i}": values[:, i] for i in range(FIELDS)})
    frame.insert(0, "label", (rng.random(ROWS) < 0.2).astype(int))
    frame.to_csv(folder / "rows.csv", index=False)
    frame.to_parquet(folder / "rows.parquet")
    lines = (f"{label} " + " ".join(f"{value}:1" for value in row) for label, *row in frame.to_numpy().tolist())
    (folder / "rows.libfm").write_text("\n".join(lines) + "\n", encoding="utf-8")


def scenario(folder: Path, form: str) -> dict[str, Any]:
    names = [f"f{i}" for i in range(FIELDS)]
    data: dict[str, Any] = {"format": form, "path": str(folder / f"rows.{form}")}
    if form == "libfm":
        data["fields"] = FIELDS
    else:
        data |= {"user": "f0", "item": "f1", "label": {"column": "label"}, "columns": names}
    return {
        "name": "bench-replay",
        "phases": {"warmup_days": 0, "aa_days": 0, "ab_days": DAYS},
        "data": data | {"tick_events": TICK, "period_events": ROWS // DAYS},
        "features": [{"name": name, "mode": "exact", "buckets": VALUES} for name in names],
        "join": {"attribution_hours": 0.01},
        "serving": {"deploy_delay_hours": 1},
        "checkpoint_every_hours": 24,
        "learner": {
            "model": {"name": "deepfm", "embedding": 8, "hidden": [64, 32]},
            "updating": {"mode": "incremental", "batch_size": 1024},
        },
        "arms": [
            {"name": "control", "share": 0.5, "learner": {"loss": {"name": "bce"}}},
            {"name": "reloop", "share": 0.5, "learner": {"loss": {"name": "reloop", "alpha": 0.2}}},
        ],
    }


def read_rate(described: Scenario, folder: Path) -> float:
    started = time.perf_counter()
    prepare_rows(described, folder).close()
    return ROWS / (time.perf_counter() - started)


def replay_rate(described: Scenario, out: Path) -> float:
    """Exposures per second of the stage, over both arms."""
    start_run(described, out, command="benchmark", workers=2, quiet=True)
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    shown = sum(counts["exposures"] for counts in manifest["counts"]["by_learner"].values())
    return float(shown / manifest["timings"]["stages"]["ab"]["wall_s"])


def main() -> None:
    chosen = arguments(__doc__)
    with tempfile.TemporaryDirectory(prefix="reloop-bench-") as name:
        folder = Path(name)
        write(folder)
        raw = {form: scenario(folder, form) for form in FORMATS}
        described = {form: parse_scenario(raw[form]) for form in FORMATS}
        reads: dict[str, list[float]] = {form: [] for form in FORMATS}
        for i in range(chosen.pairs):
            for form in FORMATS:
                reads[form].append(read_rate(described[form], folder / f"{form}-{i}"))
        prepare_rows(described["parquet"], folder / "plain" / "rows").close()
        loops, plains = [], []
        for i in range(chosen.pairs):
            plains.append(plain_rate(raw["parquet"], folder / "plain"))
            loops.append(replay_rate(described["parquet"], folder / f"run-{i}"))
    figures = {f"rows_per_s_{form}": statistics.median(rates) for form, rates in reads.items()}
    figures |= {
        "loop_exposures_per_s": statistics.median(loops),
        "plain_exposures_per_s": statistics.median(plains),
        "loop_over_plain": statistics.median(a / b for a, b in zip(loops, plains, strict=True)),
    }
    show(figures, chosen.json)


if __name__ == "__main__":
    main()
