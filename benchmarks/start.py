"""How long quickstart takes from the command line to its report, with warm caches, beside an earlier commit.

A process of its own a run, into a temporary folder. before_s: imports, scenario, checks, until there is a run folder. run_s:
from there to the last row of the tables, with the start of processes, torch and the world; work_s, within it: the stages.
readout_s: statistics, plots and report. help_s, mistake_s: how long --help takes, and a scenario's mistake.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.baseline import HERE, NoBaseline, Pairs, add_baseline, checkouts
from benchmarks.output import parser_of, show
from reloop_stream.runtime.exits import OK, USERS_MISTAKE, carry_out

QUICKSTART = "scenarios/quickstart.yaml"
MEASURED = "benchmarks.start:quickstart"


def quickstart() -> dict[str, float]:
    """Seconds of wall clock and of processor, and where they went."""
    with tempfile.TemporaryDirectory(prefix="reloop-bench-") as folder:
        out = Path(folder) / "run"
        began, cpu_began = time.time(), _children_s()
        _simulator(OK, "run", QUICKSTART, "--out", str(out))
        found = {"s": time.time() - began, "cpu_s": _children_s() - cpu_began}
        timings = json.loads((out / "manifest.json").read_text(encoding="utf-8"))["timings"]
        recorded = (out / "manifest.json").stat().st_mtime
        found["before_s"] = recorded - timings["wall_s"] - began
        found["run_s"] = timings["wall_s"]
        found["work_s"] = sum(stage["wall_s"] for stage in timings["stages"].values())
        found["readout_s"] = began + found["s"] - recorded
    began = time.time()
    _simulator(OK, "--help")
    found["help_s"] = time.time() - began
    began = time.time()
    _simulator(USERS_MISTAKE, "check", QUICKSTART, "--set", "serving.slate=0")
    found["mistake_s"] = time.time() - began
    return found


def _children_s() -> float:
    spent = os.times()
    return spent.children_user + spent.children_system


def _simulator(code: int, *words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "simulator", *words], cwd=HERE, capture_output=True, text=True, encoding="utf-8"
    )
    if done.returncode != code:
        raise SystemExit(done.stderr)


def measure(chosen: argparse.Namespace) -> int:
    with checkouts(chosen.baseline) as where:
        where.warm_up(MEASURED)
        pairs = Pairs(where, MEASURED)
        for _ in range(chosen.pairs):
            pairs.measure()
    here, there = pairs.here(), pairs.baseline()
    found = {f"quickstart_{name}" if name in ("s", "cpu_s") else name: value for name, value in here.items()}
    found |= {f"baseline_{name}": value for name, value in there.items()}
    if there:
        found["quickstart_over_baseline"] = pairs.over_baseline("s")
        found["cpu_over_baseline"] = pairs.over_baseline("cpu_s")
    show(found, chosen.json)
    return OK


def main() -> int:
    parser = parser_of(__doc__)
    add_baseline(parser)
    chosen = parser.parse_args()
    return carry_out(lambda: measure(chosen), (NoBaseline,))


if __name__ == "__main__":
    sys.exit(main())
