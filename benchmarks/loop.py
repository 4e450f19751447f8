"""Exposures per second of the whole loop, beside plain torch on the same rows and beside an earlier commit.

Two arms, 30 candidates, slates of 10, DeepFM of 8 fields × 8 with an MLP of 64-32, ReLoop on the treatment arm, batches of
1,024, learnt incrementally in A/B. A run's start (imports, processes) is not counted in either, the whole stage is. Beside
each rate stand µs of core an exposure, which other work on the machine disturbs less.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.baseline import NoBaseline, Pairs, add_baseline, checkouts
from benchmarks.output import parser_of, show, show_table
from reloop_stream.commands.arguments import whole as at_least_one
from reloop_stream.config.learner import MODELS
from reloop_stream.log import open_log
from reloop_stream.runtime.exits import OK, carry_out
from simulator.lab.run import start_run
from simulator.scenario import parse_scenario

USERS = 40_000
DAYS = 4
K, SLATE = 30, 10
TICK_MINUTES = 30
RATE, COST = "exposures_per_s", "us_core_per_exposure"
COLUMNS = (
    RATE,
    f"baseline_{RATE}",
    "over_baseline",
    COST,
    f"baseline_{COST}",
    "us_core_over_baseline",
)
LOOP_RATE = "benchmarks.loop:measured"


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
    """Exposures, exposures per second of the stage, and µs of core an exposure: all, and by part."""
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
    cost = 1e6 * sum(timings["cpu_s"].values()) / shown
    found = {"exposures": shown, "rate": shown / timings["wall_s"], COST: cost}
    return found | {f"us_{part}": 1e6 * spent / shown for part, spent in timings["cpu_s"].items()}


def measured(raw: dict[str, Any]) -> dict[str, float]:
    """`loop_rate` under the names that are printed."""
    found = loop_rate(raw)
    del found["exposures"]
    return {RATE: found.pop("rate")} | found


def named(pairs: Pairs, rate: str, cost: str = "") -> dict[str, float]:
    """Medians here and in the baseline, and the median ratio. rate, cost: what stands before the names."""
    both = {"": pairs.here(), "baseline_": pairs.baseline()}
    found = {
        f"{rate if name == RATE else cost}{whose}{name}": value
        for whose, figures in both.items()
        for name, value in figures.items()
    }
    if both["baseline_"]:
        found[f"{rate}over_baseline"] = pairs.over_baseline(RATE)
        found[f"{cost}us_core_over_baseline"] = pairs.over_baseline(COST)
    return found


def whole(chosen: argparse.Namespace) -> dict[str, float]:
    """DeepFM beside plain torch, and FM."""
    from benchmarks.plain import plain_rate  # it knows the parts of this commit alone

    raw = scenario(days=chosen.days)
    plains: list[float] = []
    with checkouts(chosen.baseline) as where:
        where.warm_up(LOOP_RATE, raw=scenario(users=1000, days=1))
        deepfm = Pairs(where, LOOP_RATE, raw=raw)
        fm = Pairs(where, LOOP_RATE, raw=scenario("fm", days=chosen.days))
        for _ in range(chosen.pairs):
            plains.append(plain_rate(raw))
            deepfm.measure()
            fm.measure()
    found = {"plain_exposures_per_s": statistics.median(plains), "loop_over_plain": deepfm.over(RATE, plains)}
    return found | named(deepfm, "loop_") | named(fm, "fm_", "fm_")


def by_model(chosen: argparse.Namespace, models: Sequence[str]) -> dict[str, dict[str, float]]:
    """Each model here and in the baseline."""
    with checkouts(chosen.baseline) as where:
        every = {model: Pairs(where, LOOP_RATE, raw=scenario(model, days=chosen.days)) for model in models}
        for model in models:
            where.warm_up(LOOP_RATE, raw=scenario(model, users=1000, days=1))
        for _ in range(chosen.pairs):
            for pairs in every.values():
                pairs.measure()
    return {model: named(pairs, "") for model, pairs in every.items()}


def measure(chosen: argparse.Namespace) -> int:
    if chosen.model is None:
        show(whole(chosen), chosen.json)
    else:
        models = MODELS if chosen.model == "all" else [chosen.model]
        show_table("model", COLUMNS, by_model(chosen, models), chosen.json)
    return OK


def main() -> int:
    parser = parser_of(__doc__)
    parser.add_argument("--model", choices=[*MODELS, "all"], help="this model alone, or each (default: DeepFM and FM)")
    parser.add_argument(
        "--days", type=at_least_one, metavar="N", default=DAYS, help=f"simulated days of a run (default: {DAYS})"
    )
    add_baseline(parser)
    chosen = parser.parse_args()
    return carry_out(lambda: measure(chosen), (NoBaseline,))


if __name__ == "__main__":
    sys.exit(main())
