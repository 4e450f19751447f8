"""The relative uplift in CTR of one arm over another: raw, by CUPED, and A/B - A/A.

tea-tasting does the ratio of means (delta method) and CUPED; A/B - A/A it does not have.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import scipy.stats
import tea_tasting as tt

from simulator.readout.statistics.estimate import CONFIDENCE, UNDEFINED, Estimate
from simulator.readout.statistics.users import UserSums

__all__ = ["ab_minus_aa", "cuped", "raw"]


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
