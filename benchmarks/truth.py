"""Whether the readout can be believed: false positives of A/A tests, coverage of planted and of true uplifts, and how much
closer paired worlds come to the truth than a test does. No speed. Seeds are fixed here: nothing is drawn again until it pleases.

Users' luck: a frozen model serves everyone for a week, and the same users are split into two arms again and again, by other
salts. Learners' noise: small worlds, in each of which two arms learn for themselves; ten of them give an interval.
"""

from __future__ import annotations

import argparse
import math
import os
import signal
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy.stats

from benchmarks.output import show
from reloop_stream.commands.arguments import whole
from reloop_stream.runtime.processes import die_with
from simulator.experiment.assignment import Assignment
from simulator.lab.run import start_run
from simulator.readout.statistics.estimate import Estimate
from simulator.readout.statistics.sequential import looks_of
from simulator.readout.statistics.uplift import ab_minus_aa, cuped, raw
from simulator.readout.statistics.users import UserSums, group_users
from simulator.run_folder.reader import Run, read_run
from simulator.scenario import parse_scenario

__all__ = ["FIGURES", "World", "coverage_across_seeds", "frozen_tests", "small_world", "spread_ratio"]

ALPHA = 0.05
DAYS = 7
PLANTED = 0.05  # the uplift of the treatment, where one is planted
A_A_WORLDS, SALTS = 20, 500  # 10,000 tests
INTERVALS, WORLDS_EACH = 400, 10
ESTIMATORS: dict[str, Callable[[UserSums, UserSums], Estimate]] = {"delta": raw, "cuped": cuped, "did": ab_minus_aa}

MEMORY = Path("/dev/shm")  # a world's folder lives for a second: no disk need know of it


# Of each test: whether p was below 5%, by estimator; whether one of its daily looks crossed its bound; and whether the
# interval held the planted uplift.
FIGURES = ("fp_delta", "fp_cuped", "fp_did", "fp_sequential", "coverage_delta", "coverage_cuped", "coverage_did")


class World(NamedTuple):
    """What a world's test says of the treatment, raw, and what is true: everyone served by models of the arms' own data."""

    estimate: float
    truth: float


def _in_world(raw_scenario: dict[str, Any]) -> Run:
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        place = Path(folder) / "run"
        start_run(parse_scenario(raw_scenario), place, command="benchmarks.truth", workers=1, quiet=True)
        return read_run(place)


def _scenario(seed: int, users: int, phases: dict[str, int], **others: Any) -> dict[str, Any]:
    return {
        "name": "truth",
        "seed": {"world": seed, "model": seed},
        "phases": phases,
        "tick_minutes": 360,
        "checkpoint_every_hours": 1e4,
        "world": {
            "ctr": 0.1,
            "users": {"n": users, "requests_per_day": 2},
            "items": {"live": 100},
            "candidates": {"k": 12},
        },
        "serving": {"slate": 6},
        "learner": {
            "model": {"name": "lr"},
            "optimizer": {"name": "adagrad", "lr": 0.1},
            "updating": {"mode": "incremental", "batch_size": 256},
            "publish_every_hours": 6,
        },
        **others,
    }


def frozen_tests(seed: int, salts: int, users: int = 2000) -> np.ndarray:
    """A world whose model is frozen when A/B begins, and its users split again by each salt.

    Gives float [salts, 7], in the order of `FIGURES`: 1 where it is so.
    """
    phases = {"warmup_days": 1, "aa_days": DAYS, "ab_days": DAYS}
    arms = [
        {"name": "control", "share": 0.01},
        {"name": "frozen", "share": 0.99, "learner": {"updating": {"mode": "none"}}},
    ]
    run = _in_world(_scenario(seed, users, phases, arms=arms))
    assert run.users is not None
    mine = group_users(run.users, run.arms).arms["frozen"]
    first = 1 + DAYS
    days = range(first, first + DAYS)
    a_a = mine.of_phase("aa")

    def sums(chosen: np.ndarray, last: int, kept: float = 1.0, rng: np.random.Generator | None = None) -> UserSums:
        found = mine.sums(chosen[mine.user] & (mine.day >= first) & (mine.day <= last), a_a)
        return (
            found if rng is None else found._replace(clicks=rng.binomial(found.clicks.astype(int), kept).astype(float))
        )

    found = np.zeros((salts, len(FIGURES)))
    for salt in range(salts):
        treated = Assignment("truth", str(salt), (0.5, 0.5)).arms(mine.who) == 1
        pair = sums(~treated, days[-1]), sums(treated, days[-1])
        positives = [estimate(*pair).p < ALPHA for estimate in ESTIMATORS.values()]
        looks = looks_of(days, [cuped(sums(~treated, day), sums(treated, day)) for day in days], DAYS)
        # Each click of the control is kept with probability 1 / (1 + uplift): the treatment's CTR is higher by just that.
        thinned = sums(~treated, days[-1], 1 / (1 + PLANTED), np.random.default_rng((seed, salt)))
        planted = [estimate(thinned, pair[1]) for estimate in ESTIMATORS.values()]
        held = [e.lo <= PLANTED <= e.hi for e in planted]
        found[salt] = [*positives, any(look.crossed for look in looks), *held]
    return found


def small_world(seed: int) -> World:
    """A small world with a learner an arm: cross-entropy and ReLoop, on their own users' events."""
    arms = [{"name": "control"}, {"name": "reloop", "learner": {"loss": {"name": "reloop", "alpha": 0.3}}}]
    run = _in_world(_scenario(seed, 300, {"warmup_days": 1, "aa_days": 1, "ab_days": 1}, arms=arms))
    assert run.users is not None
    grouped = group_users(run.users, run.arms).arms
    control, treatment = (of.sums(of.of_phase("ab")) for of in grouped.values())
    estimate = raw(control, treatment).relative
    clicks = {row["arm"]: row["expected_clicks"] / row["exposures"] for row in run.truth.to_pylist()}
    return World(estimate, clicks["reloop"] / clicks["control"] - 1)


def coverage_across_seeds(worlds: Sequence[World], each: int) -> float:
    """Of worlds taken `each` at a time, in order: the share of t intervals across their estimates that hold the mean of all
    true uplifts."""
    known = [world for world in worlds if not math.isnan(world.estimate)]
    truth = float(np.mean([world.truth for world in known]))
    groups = np.array([world.estimate for world in known[: len(known) // each * each]]).reshape(-1, each)
    half = scipy.stats.t.ppf(1 - ALPHA / 2, each - 1) * groups.std(axis=1, ddof=1) / math.sqrt(each)
    return float((np.abs(groups.mean(axis=1) - truth) <= half).mean())


def spread_ratio(worlds: Sequence[World]) -> float:
    """The standard deviation across worlds of an estimate over that of a truth."""
    estimates, truths = np.array([world for world in worlds if not math.isnan(world.estimate)]).T
    return float(estimates.std(ddof=1) / truths.std(ddof=1))


def _begin(parent: int) -> None:
    import torch

    die_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--jobs", type=whole, default=os.cpu_count(), help="processes (default: one a core)")
    parser.add_argument(
        "--share", type=float, default=1.0, help="of all tests and worlds, for a first look (default: 1)"
    )
    chosen = parser.parse_args()
    salts, intervals = (max(1, round(chosen.share * n)) for n in (SALTS, INTERVALS))
    with ProcessPoolExecutor(chosen.jobs, get_context("spawn"), _begin, (os.getpid(),)) as pool:
        tests = pool.map(partial(frozen_tests, salts=salts), range(1, A_A_WORLDS + 1))
        worlds = pool.map(small_world, range(1, intervals * WORLDS_EACH + 1), chunksize=10)
        tested = np.concatenate(list(tests))
        found = list(worlds)
    figures = dict(zip(FIGURES, tested.mean(axis=0).tolist(), strict=True))
    across = {"coverage_seeds": coverage_across_seeds(found, WORLDS_EACH), "truth_se_ratio": spread_ratio(found)}
    show({**figures, **across}, chosen.json)


if __name__ == "__main__":
    main()
