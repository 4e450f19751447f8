"""Whether as many users are in each arm as the shares say."""

from __future__ import annotations

import math

import scipy.stats

__all__ = ["srm"]

FEW = 5  # Cochran's rule: below it the chi-square distribution is not that of the statistic


def srm(users: dict[str, int], shares: dict[str, float]) -> float:
    """p-value of the sample ratio: whether as many users are in each arm as the shares say. NaN for one arm, or no user.

    Chi-square; where an arm is to have fewer than 5 users, the smallest p-value of the arms' exact binomial tests, times
    their number (Bonferroni) where there are more than two.
    """
    total, whole = sum(users.values()), sum(shares.values())
    if len(shares) < 2 or not total:
        return math.nan
    observed = {arm: users[arm] for arm in shares}
    expected = {arm: share / whole * total for arm, share in shares.items()}
    if min(expected.values()) >= FEW:
        return float(scipy.stats.chisquare([*observed.values()], [*expected.values()]).pvalue)
    exact = [scipy.stats.binomtest(observed[arm], total, shares[arm] / whole).pvalue for arm in shares]
    return min(1.0, float(min(exact)) * (1 if len(shares) == 2 else len(shares)))
