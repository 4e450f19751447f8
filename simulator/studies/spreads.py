"""How far the CTRs of a world's users spread: what the error of any test on them is made of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from simulator.readout.statistics.uplift import ESTIMATORS
from simulator.readout.statistics.users import UserSums, group_users

__all__ = ["spreads"]

# Random halves over which the variance is averaged. Every user is in each of them, so they hardly differ.
SPLITS = 10


def spreads(
    users: pa.Table, arm: str, population: int, days: Sequence[int], seed: int = 0
) -> tuple[dict[str, list[float]], list[float]]:
    """How far users' CTRs spread, had a test of the arm against itself been read out after each of these A/B days.

    users: a row a user and day, of a world of `population` users who all are in the arm. Those who came are cut into random
    halves, the readout's own estimators compare them, and the variances of their intervals are averaged.

    Returns estimator → by day: the variance of an arm's log CTR times its users, who are all that
    it has, whether or not they came (NaN where the estimator is not defined). And the share who had come, by day.
    """
    rows = group_users(users, [arm]).arms[arm]
    found: dict[str, list[float]] = {name: [] for name in ESTIMATORS}
    seen, draws = [], np.random.default_rng(seed)
    for sums in rows.running(days):
        n = len(sums.clicks)
        halves = [draws.permutation(n) < n // 2 for _ in range(SPLITS)]
        for name, estimator in ESTIMATORS.items():
            errors = [estimator(_of(sums, half), _of(sums, ~half)).log_error for half in halves]
            # Of two arms of half the population each: spread / (population / 2) twice.
            found[name].append(float(np.mean(np.square(errors))) * population / 4)
        seen.append(n / population)
    return found, seen


def _of(sums: UserSums, chosen: np.ndarray) -> UserSums:
    return UserSums(*(column[chosen] for column in sums))
