"""The relative uplift in CTR of one arm over another: raw, by CUPED, and A/B - A/A.

tea-tasting does the ratio of means (delta method) and CUPED; A/B - A/A it does not have.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import scipy.stats
import tea_tasting as tt
from tea_tasting.aggr import Aggregates

from simulator.readout.statistics.estimate import CONFIDENCE, UNDEFINED, Estimate
from simulator.readout.statistics.spread import is_rounding, ratio_errors
from simulator.readout.statistics.users import UserSums

__all__ = ["ESTIMATORS", "ab_minus_aa", "cuped", "cuped_or_raw", "raw"]

RAW = tt.RatioOfMeans("clicks", "exposures", confidence_level=CONFIDENCE)
FARTHEST = 1e-12  # of a ratio of CTRs: 1 + x keeps no digit of less
CUPED = tt.RatioOfMeans("clicks", "exposures", "clicks_before", "exposures_before", confidence_level=CONFIDENCE)


def _aggregates(arm: UserSums) -> Aggregates:
    """Means and covariances of the columns: tea-tasting's own reading of a table takes ten times as long."""
    names = UserSums._fields
    columns = np.stack(arm)
    mean, covariance = columns.mean(axis=1).tolist(), np.cov(columns).tolist()
    return Aggregates(
        columns.shape[1],
        dict(zip(names, mean, strict=True)),
        {name: covariance[i][i] for i, name in enumerate(names)},
        {(one, other): covariance[i][j] for i, one in enumerate(names) for j, other in enumerate(names[:i])},
    )


def _defined(control: UserSums, treatment: UserSums) -> bool:
    return (
        min(len(control.clicks), len(treatment.clicks)) > 1 and control.clicks.sum() > 0 and treatment.clicks.sum() > 0
    )


def _analyze(metric: tt.RatioOfMeans, control: UserSums, treatment: UserSums) -> Estimate:
    """Undefined where a regression on the covariates leaves no positive CTR."""
    try:
        result = metric.analyze_aggregates(_aggregates(control), _aggregates(treatment))
    except (OverflowError, ZeroDivisionError):
        return UNDEFINED
    if min(result.control, result.treatment) <= 0:
        return UNDEFINED
    return _told(
        result.rel_effect_size, result.rel_effect_size_ci_lower, result.rel_effect_size_ci_upper, result.pvalue
    )


def _told(relative: float, lo: float, hi: float, p: float) -> Estimate:
    """Undefined where a bound is one that doubles cannot tell from -100%, or of the arms turned round could not."""
    if not (1 + lo > FARTHEST and 1 / (1 + hi) > FARTHEST):
        return UNDEFINED
    return Estimate(float(relative), float(lo), float(hi), float(p))


def raw(control: UserSums, treatment: UserSums) -> Estimate:
    """Ratio of means over the A/B days, user-level delta method (Deng et al. 2018).

    Undefined where an arm has no click or fewer than two users, and where in neither arm users' CTRs differ.
    """
    if not _defined(control, treatment) or not _spreads(control, treatment, coefficient=0.0):
        return UNDEFINED
    return _analyze(RAW, control, treatment)


def cuped(control: UserSums, treatment: UserSums) -> Estimate:
    """The same with each user's A/A clicks and exposures as covariates (Deng et al. 2013).

    Users who first came in A/B have 0 and 0 there: they add nothing to the covariate's sums, in either arm alike.
    Undefined too where the A/A period explains every difference between users.
    """
    before = min(control.exposures_before.sum(), treatment.exposures_before.sum())
    if not _defined(control, treatment) or not before:
        return UNDEFINED
    coefficient = _coefficient(control, treatment)
    if coefficient == 0:
        return raw(control, treatment)
    if not _spreads(control, treatment, coefficient):
        return UNDEFINED
    return _analyze(CUPED, control, treatment)


def cuped_or_raw(control: UserSums, treatment: UserSums) -> Estimate:
    """CUPED, or raw where there is no A/A period of these users: for parts of the users, some of whom are new."""
    found = cuped(control, treatment)
    return raw(control, treatment) if math.isnan(found.relative) else found


def _coefficient(control: UserSums, treatment: UserSums) -> float:
    """CUPED's coefficient, of CTRs before: tea-tasting's own. 0 where users' CTRs before do not differ."""
    both = UserSums(*(np.concatenate(pair) for pair in zip(control, treatment, strict=True)))
    now, _ = ratio_errors(both.clicks, both.exposures)
    before, scale = ratio_errors(both.clicks_before, both.exposures_before)
    variance = float(np.var(before, ddof=1))
    if is_rounding(variance, scale):
        return 0.0
    change = _rate(both.clicks, both.exposures) / _rate(both.clicks_before, both.exposures_before)
    return float(np.cov(now, before)[0, 1]) / variance * change


def _spreads(control: UserSums, treatment: UserSums, coefficient: float) -> bool:
    """Whether users' CTRs differ, beside what those before explain: by more than sums of squares lose to rounding."""
    variance, whole = 0.0, 0.0
    for arm in (control, treatment):
        errors, scale = ratio_errors(arm.clicks, arm.exposures)
        rate = _rate(arm.clicks, arm.exposures)
        errors = rate * errors
        if coefficient:
            before, _ = ratio_errors(arm.clicks_before, arm.exposures_before)
            errors = errors - coefficient * _rate(arm.clicks_before, arm.exposures_before) * before
        variance += float(np.var(errors, ddof=1)) / len(errors)
        whole += rate**2 * scale / len(errors)
    return not is_rounding(variance, whole)


def _rate(clicks: np.ndarray, exposures: np.ndarray) -> float:
    return float(clicks.sum() / exposures.sum())


def ab_minus_aa(control: UserSums, treatment: UserSums) -> Estimate:
    """The relative uplift in A/B less that in A/A, as the paper's Table 3 has it: a difference in differences of logs.

    With r the log CTR of an arm in a period, d = (r_t - r_c)[A/B] - (r_t - r_c)[A/A], and the relative uplift is
    exp(d) - 1. Its variance sums, over the arms, var(error[A/B] - error[A/A]) / users, an error being a user's share in
    that of a CTR; so the correlation of a user's two periods is kept.
    """
    if not _defined(control, treatment):
        return UNDEFINED
    if min(control.clicks_before.sum(), treatment.clicks_before.sum()) == 0:
        return UNDEFINED
    difference, variance, whole = 0.0, 0.0, 0.0
    for sign, arm in ((1, treatment), (-1, control)):
        now, scale_now = ratio_errors(arm.clicks, arm.exposures)
        then, scale_then = ratio_errors(arm.clicks_before, arm.exposures_before)
        change = _rate(arm.clicks, arm.exposures) / _rate(arm.clicks_before, arm.exposures_before)
        difference += sign * math.log(change)
        variance += float(np.var(now - then, ddof=1)) / len(now)
        whole += (scale_now + scale_then) / len(now)
    if is_rounding(variance, whole):
        return UNDEFINED
    spread = math.sqrt(variance)
    z = float(scipy.stats.norm.ppf(0.5 + CONFIDENCE / 2))
    p = float(2 * scipy.stats.norm.sf(abs(difference) / spread))
    try:
        low, high = math.expm1(difference - z * spread), math.expm1(difference + z * spread)
    except OverflowError:
        return UNDEFINED
    return _told(math.expm1(difference), low, high, p)


ESTIMATORS: Mapping[str, Callable[[UserSums, UserSums], Estimate]] = {
    "raw": raw,
    "ab_minus_aa": ab_minus_aa,
    "cuped": cuped,
}
