"""Whether as many users are in each arm as the shares say."""

from __future__ import annotations

import math

import scipy.stats

__all__ = ["srm"]


def srm(users: dict[str, int], shares: dict[str, float]) -> float:
    """p-value of the sample ratio: whether as many users are in each arm as the shares say (chi-square). NaN for one arm."""
    total = sum(users.values())
    if len(users) < 2 or not total:
        return math.nan
    observed = [users[arm] for arm in shares]
    expected = [share * total for share in shares.values()]
    expected = [value * total / sum(expected) for value in expected]
    return float(scipy.stats.chisquare(observed, expected).pvalue)
