"""User-level statistics of a run: uplift raw, A/B - A/A and CUPED; SRM; CTR with intervals.

tea-tasting does the ratio of means (delta method), CUPED and the sample ratio. By hand, since it has neither: intervals
of a single arm, and A/B - A/A. Exposures of one user are correlated, so nothing here counts impressions as a sample.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import scipy.stats
import tea_tasting as tt

__all__ = ["CONFIDENCE", "Estimate", "ab_minus_aa", "ctr_interval", "cuped", "paired_days", "raw", "srm", "user_sums"]

CONFIDENCE = 0.95


class Estimate(NamedTuple):
    """A relative uplift (0.01 is one percent) with its interval and p-value; NaN where it is not defined."""

    relative: float
    lo: float
    hi: float
    p: float

    def __str__(self) -> str:
        if math.isnan(self.relative):
            return "-"
        return f"{self.relative:+.2%} [{self.lo:+.2%}, {self.hi:+.2%}], p = {self.p:.3f}"


UNDEFINED = Estimate(math.nan, math.nan, math.nan, math.nan)


class UserSums(NamedTuple):
    """One arm's users: exposures and clicks in A/B, and in A/A before it (0 for users who first came in A/B). [n] each."""

    exposures: np.ndarray
    clicks: np.ndarray
    exposures_before: np.ndarray
    clicks_before: np.ndarray


def user_sums(users: pa.Table, arm: str, day: int | None = None) -> UserSums:
    """Sums by user over the A/B days (or one day of any phase), for users seen in them, with their A/A sums beside."""
    mine = users.filter(pa.compute.equal(users["arm"], arm))
    if day is None:
        chosen = mine.filter(pa.compute.equal(mine["phase"], "ab"))
    else:
        chosen = mine.filter(pa.compute.equal(mine["day"], day))
    before = mine.filter(pa.compute.equal(mine["phase"], "aa"))
    sums = [("exposures", "sum"), ("clicks", "sum")]
    now = chosen.group_by("user_id").aggregate(sums)
    then = before.group_by("user_id").aggregate(sums).rename_columns(["user_id", "exposures_before", "clicks_before"])
    joined = now.join(then, "user_id", join_type="left outer").sort_by("user_id")

    def column(name: str) -> np.ndarray:
        values: np.ndarray = pa.compute.fill_null(joined[name], 0).to_numpy()
        return values.astype(float)

    return UserSums(*(column(n) for n in ("exposures_sum", "clicks_sum", "exposures_before", "clicks_before")))


def _table(control: UserSums, treatment: UserSums) -> pa.Table:
    variant = np.concatenate((np.zeros(len(control.clicks), np.int64), np.ones(len(treatment.clicks), np.int64)))
    columns = {name: np.concatenate(pair) for name, *pair in zip(UserSums._fields, control, treatment, strict=True)}
    return pa.table({"variant": variant, **columns})


def _defined(control: UserSums, treatment: UserSums) -> bool:
    return (
        min(len(control.clicks), len(treatment.clicks)) > 1 and control.clicks.sum() > 0 and treatment.clicks.sum() > 0
    )


def _analyze(metric: Any, control: UserSums, treatment: UserSums) -> Estimate:
    result = tt.Experiment(ctr=metric).analyze(_table(control, treatment), control=0)["ctr"]
    found = Estimate(
        result.rel_effect_size, result.rel_effect_size_ci_lower, result.rel_effect_size_ci_upper, result.pvalue
    )
    return Estimate(*(float(value) for value in found))


def raw(control: UserSums, treatment: UserSums) -> Estimate:
    """Ratio of means over the A/B days, user-level delta method (Deng et al. 2018)."""
    if not _defined(control, treatment):
        return UNDEFINED
    return _analyze(tt.RatioOfMeans("clicks", "exposures", confidence_level=CONFIDENCE), control, treatment)


def cuped(control: UserSums, treatment: UserSums) -> Estimate:
    """The same with each user's A/A clicks and exposures as covariates (Deng et al. 2013).

    Users who first came in A/B have 0 and 0 there: they add nothing to the covariate's sums, in either arm alike.
    """
    before = min(control.exposures_before.sum(), treatment.exposures_before.sum())
    if not _defined(control, treatment) or not before:
        return UNDEFINED
    metric = tt.RatioOfMeans("clicks", "exposures", "clicks_before", "exposures_before", confidence_level=CONFIDENCE)
    return _analyze(metric, control, treatment)


def _influence(numerator: np.ndarray, denominator: np.ndarray) -> tuple[float, np.ndarray]:
    """The logarithm of a ratio of sums, and each user's share in its error: x / mean(x) - y / mean(y)."""
    x, y = numerator.mean(), denominator.mean()
    return math.log(x / y), numerator / x - denominator / y


def ab_minus_aa(control: UserSums, treatment: UserSums) -> Estimate:
    """The relative uplift in A/B less that in A/A, as the paper's Table 3 has it: a difference in differences of logs.

    With r the log CTR of an arm in a period, d = (r_t - r_c)[A/B] - (r_t - r_c)[A/A], and the relative uplift is
    exp(d) - 1. Its variance sums, over the arms, var(influence[A/B] - influence[A/A]) / users, which keeps the
    correlation of a user's two periods.
    """
    if not _defined(control, treatment):
        return UNDEFINED
    if min(control.clicks_before.sum(), treatment.clicks_before.sum()) == 0:
        return UNDEFINED
    difference, variance = 0.0, 0.0
    for sign, arm in ((1, treatment), (-1, control)):
        now, error_now = _influence(arm.clicks, arm.exposures)
        then, error_then = _influence(arm.clicks_before, arm.exposures_before)
        difference += sign * (now - then)
        variance += float(np.var(error_now - error_then, ddof=1)) / len(arm.clicks)
    if variance <= 0:
        return UNDEFINED
    spread = math.sqrt(variance)
    z = float(scipy.stats.norm.ppf(0.5 + CONFIDENCE / 2))
    p = float(2 * scipy.stats.norm.sf(abs(difference) / spread))
    low, high = difference - z * spread, difference + z * spread
    return Estimate(math.expm1(difference), math.expm1(low), math.expm1(high), p)


def ctr_interval(exposures: np.ndarray, clicks: np.ndarray) -> tuple[float, float, float]:
    """CTR of one arm and its interval: (ctr, lo, hi); user-level delta method on the ratio. exposures, clicks: [users]."""
    n, shown = len(exposures), exposures.sum()
    if not shown:
        return math.nan, math.nan, math.nan
    ctr = float(clicks.sum() / shown)
    if n < 2:
        return ctr, math.nan, math.nan
    spread = math.sqrt(float(np.var(clicks - ctr * exposures, ddof=1)) / n) / float(exposures.mean())
    z = float(scipy.stats.norm.ppf(0.5 + CONFIDENCE / 2))
    return ctr, ctr - z * spread, ctr + z * spread


def srm(users: dict[str, int], shares: dict[str, float]) -> float:
    """p-value of the sample ratio: whether as many users are in each arm as the shares say (chi-square). NaN for one arm."""
    total = sum(users.values())
    if len(users) < 2 or not total:
        return math.nan
    observed = [users[arm] for arm in shares]
    expected = [share * total for share in shares.values()]
    expected = [value * total / sum(expected) for value in expected]
    return float(scipy.stats.chisquare(observed, expected).pvalue)


def paired_days(control: np.ndarray, treatment: np.ndarray) -> Estimate:
    """Mean over days of treatment - control (absolute), with a t interval across days; for the metrics of a replay."""
    difference = treatment - control
    difference = difference[~np.isnan(difference)]
    if len(difference) < 2:
        return UNDEFINED
    mean, spread = float(difference.mean()), float(difference.std(ddof=1) / math.sqrt(len(difference)))
    if spread == 0:
        return Estimate(mean, mean, mean, 1.0 if mean == 0 else 0.0)
    t = float(scipy.stats.t.ppf(0.5 + CONFIDENCE / 2, len(difference) - 1))
    p = float(2 * scipy.stats.t.sf(abs(mean) / spread, len(difference) - 1))
    return Estimate(mean, mean - t * spread, mean + t * spread, p)
