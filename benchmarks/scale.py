"""How a run grows: newsfeed with more users, items, candidates, arms and processes, one knob at a time from a base.

A row a run of its own process: exposures per second of the stages, µs of core an exposure in them, and the peak of memory
(PSS of all its processes, sampled). exponent: the slope of log µs against the log of the knob; 0 is a cost that does not grow.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.baseline import HERE, Failed
from benchmarks.output import show, show_table
from reloop_stream.commands.arguments import whole as at_least_one
from reloop_stream.runtime.exits import OK, carry_out

BASE = {"users": 20_000, "items": 2_000, "k": 30, "arms": 2, "workers": 2}
KNOBS = {
    "users": (20_000, 300_000, 600_000),
    "items": (2_000, 100_000, 200_000),
    "k": (30, 500),
    "arms": (2, 8),
    "workers": (1, 2, 4),
}
QUICK_BASE = BASE | {"users": 3_000, "items": 500}
QUICK = {"users": (3_000, 12_000), "items": (500, 5_000), "k": (30, 120), "arms": (2, 4), "workers": (1, 2)}
SAMPLE_S = 1.0
COST = "us_core_per_exposure"
COLUMNS = ("exposures_per_s", COST, "peakpss_mib")


class PeakMemory(threading.Thread):
    """The most MiB (PSS) that a process and all below it held at once, until `end`."""

    def __init__(self, process: int) -> None:
        super().__init__(daemon=True)
        self.mib = 0.0
        self._process = process
        self._over = threading.Event()
        self.start()

    def run(self) -> None:
        while not self._over.wait(SAMPLE_S):
            self.mib = max(self.mib, sum(map(pss_mib, and_below(self._process))))

    def end(self) -> float:
        self._over.set()
        self.join()
        return self.mib


def and_below(process: int) -> Iterator[int]:
    yield process
    for told in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            below = told.read_text(encoding="utf-8").split()
        except OSError:  # that thread is over
            continue
        for child in below:
            yield from and_below(int(child))


def pss_mib(process: int) -> float:
    try:
        told = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="utf-8")
    except OSError:  # it has ended
        return 0.0
    kib = (line.split()[1] for line in told.splitlines() if line.startswith("Pss:"))
    return sum(map(int, kib)) / 1024


def overrides(users: int, items: int, k: int, arms: int, ab_days: int = 1) -> Mapping[str, Any]:
    """Paths of a scenario and their values; every second arm corrects itself."""
    losses = ({"name": "bce"}, {"name": "reloop", "alpha": 0.2})
    each = [{"name": f"arm{i}", "share": 1 / arms, "learner": {"loss": losses[i % 2]}} for i in range(arms)]
    return {
        "phases": {"warmup_days": 1, "aa_days": 1, "ab_days": ab_days},
        "world.users.n": users,
        "world.items.live": items,
        "world.candidates.k": k,
        "world.drift": [],
        "arms": each,
    }


def run(ab_days: int, users: int, items: int, k: int, arms: int, workers: int) -> dict[str, float]:
    """One run's figures. Raises Failed."""
    said = [f"{path}={json.dumps(value)}" for path, value in overrides(users, items, k, arms, ab_days).items()]
    with tempfile.TemporaryDirectory(prefix="reloop-bench-") as folder:
        out, errors = Path(folder) / "run", Path(folder) / "stderr"
        words = ["run", "scenarios/newsfeed.yaml", "--quiet", "--workers", str(workers), "--out", str(out)]
        with errors.open("w", encoding="utf-8") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", "simulator", *words, *(word for one in said for word in ("--set", one))],
                cwd=HERE,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
            )
            memory = PeakMemory(process.pid)
            code = process.wait()
            peak = memory.end()
        if code:
            raise Failed(f"a run failed with exit code {code}: {errors.read_text(encoding='utf-8')}")
        stages = json.loads((out / "manifest.json").read_text(encoding="utf-8"))["timings"]["stages"].values()
        with (out / "daily.csv").open(encoding="utf-8", newline="") as daily:
            shown = sum(int(row["exposures"]) for row in csv.DictReader(daily))
    cpu_s = sum(sum(stage["cpu_s"].values()) for stage in stages)
    return {
        "exposures_per_s": shown / sum(stage["wall_s"] for stage in stages),
        COST: 1e6 * cpu_s / shown,
        "peakpss_mib": peak,
    }


def exponent(figures: Mapping[int, float]) -> float:
    """The slope of log figure over log knob, by least squares.

    >>> round(exponent({1: 3.0, 10: 30.0, 100: 300.0}), 6)
    1.0
    """
    x, y = ([math.log(value) for value in values] for values in (figures.keys(), figures.values()))
    return float(np.polyfit(x, y, 1)[0])


def measure(chosen: argparse.Namespace) -> int:
    base, knobs = (QUICK_BASE, QUICK) if chosen.quick else (BASE, KNOBS)
    runs: dict[tuple[tuple[str, int], ...], dict[str, float]] = {}
    rows: dict[str, dict[str, float]] = {}
    exponents: dict[str, float] = {}
    run(1, **QUICK_BASE)  # a fresh checkout has nothing compiled
    for knob in chosen.only or knobs:
        costs = {}
        for value in knobs[knob]:
            settings = base | {knob: value}
            key = tuple(settings.items())
            if key not in runs:
                runs[key] = run(chosen.days, **settings)
            rows[f"{knob} {value}"] = runs[key]
            costs[value] = runs[key][COST]
        exponents[f"{knob}_exponent"] = exponent(costs)
    if chosen.json:
        print(json.dumps({"runs": rows} | exponents))
    else:
        show_table("knob", COLUMNS, rows, as_json=False)
        print()
        show(exponents, as_json=False)
    return OK


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--quick", action="store_true", help="small values, a minute or two instead of six")
    parser.add_argument("--only", action="append", choices=[*KNOBS], help="this knob alone; may be given again")
    parser.add_argument(
        "--days",
        type=at_least_one,
        metavar="N",
        default=1,
        help="of A/B; in the first three, arms share a window (default: 1)",
    )
    chosen = parser.parse_args()
    return carry_out(lambda: measure(chosen), ())


if __name__ == "__main__":
    sys.exit(main())
