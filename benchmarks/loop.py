"""Exposures per second of the whole loop, beside plain torch on the same rows.

Two arms, 30 candidates, slates of 10, DeepFM of 8 fields × 8 with an MLP of 64-32, ReLoop on the treatment arm, batches of
1,024, learnt incrementally in A/B. A run's start (imports, processes) is not counted in either, the whole stage is.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.output import arguments, show
from benchmarks.plain import plain_rate
from reloop_stream.log import open_log
from simulator.lab.run import start_run
from simulator.scenario import parse_scenario

USERS = 40_000
DAYS = 4
K, SLATE = 30, 10
TICK_MINUTES = 30


def scenario(model: str = "deepfm", users: int = USERS, days: int = DAYS) -> dict[str, Any]:
    """A/B from the first day on; 30-minute ticks hold about 6,000 exposures an arm."""
    return {
        "name": "bench",
        "phases": {"warmup_days": 0, "aa_days": 0, "ab_days": days},
        "tick_minutes": TICK_MINUTES,
        "world": {"users": {"n": users, "requests_per_day": 1.5}, "candidates": {"k": K}},
        "serving": {"slate": SLATE, "deploy_delay_hours": 1},
        "truth": {"experiment": False},
        "learner": {"model": {"name": model, "embedding": 8, "hidden": [64, 32]}, "updating": {"batch_size": 1024}},
        "arms": [
            {"name": "control", "share": 0.5, "learner": {"loss": {"name": "bce"}}},
            {"name": "reloop", "share": 0.5, "learner": {"loss": {"name": "reloop", "alpha": 0.2}}},
        ],
    }


def loop_rate(raw: dict[str, Any], url: str = "embedded", settings: Sequence[tuple[str, Any]] = ()) -> dict[str, float]:
    """Exposures per second of the stage, and µs of core an exposure by part."""
    with tempfile.TemporaryDirectory(prefix="reloop-bench-") as folder:
        parsed = parse_scenario(raw | {"log": {"url": url}} | dict(settings))
        out = Path(folder) / f"run-{os.getpid()}-{Path(folder).name}"
        start_run(parsed, out, command="benchmark", workers=2, quiet=True)
        manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
        if url != "embedded":
            with open_log(url) as log:
                log.delete_topics(f"{out.name}.{topic}" for topic in manifest["counts"]["records"])
    timings = manifest["timings"]["stages"]["ab"]
    shown = sum(counts["exposures"] for counts in manifest["counts"]["by_learner"].values())
    found = {"rate": shown / timings["wall_s"]}
    found |= {f"us_{part}": 1e6 * spent / shown for part, spent in timings["cpu_s"].items()}
    return found


def main() -> None:
    chosen = arguments(__doc__)
    raw = scenario()
    loops, plains = [], []
    for _ in range(chosen.pairs):
        plains.append(plain_rate(raw))
        loops.append(loop_rate(raw))
    fm = loop_rate(scenario("fm"))
    figures = {
        "loop_exposures_per_s": statistics.median(found["rate"] for found in loops),
        "plain_exposures_per_s": statistics.median(plains),
        "loop_over_plain": statistics.median(a["rate"] / b for a, b in zip(loops, plains, strict=True)),
        "fm_exposures_per_s": fm["rate"],
    }
    parts = [name for name in loops[0] if name.startswith("us_")]
    figures |= {name: statistics.median(found[name] for found in loops) for name in parts}
    show(figures, chosen.json)


if __name__ == "__main__":
    main()
