"""How good estimators were in worlds whose truth is known: bias, coverage, rejections, rules for looking every day."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import scipy.stats
from scipy.special import lambertw

from simulator.readout.statistics.estimate import CONFIDENCE, Difference, Estimate
from simulator.readout.statistics.power import power_at, users_needed
from simulator.readout.statistics.sequential import bounds
from simulator.studies.across_seeds import across_seeds

__all__ = ["RULES", "Rate", "Score", "crossings", "power_curve", "rate", "score"]

ALPHA = 1 - CONFIDENCE
POINTS = 40  # of a power curve


class Rate(NamedTuple):
    """How often something happened, with Clopper and Pearson's 95% interval; NaN where it was never tried.

    >>> print(rate(19, 20))
    95.0% [75.1%, 99.9%] of 20
    """

    share: float
    lo: float
    hi: float
    n: int

    def __str__(self) -> str:
        return f"{self.share:.1%} [{self.lo:.1%}, {self.hi:.1%}] of {self.n}" if self.n else "-"


def rate(hits: int, n: int) -> Rate:
    if not n:
        return Rate(math.nan, math.nan, math.nan, 0)
    interval = scipy.stats.binomtest(hits, n).proportion_ci(CONFIDENCE)
    return Rate(hits / n, float(interval.low), float(interval.high), n)


class Score(NamedTuple):
    """An estimator over worlds.

    estimate: its mean over worlds. bias: of estimate - truth. Both with t intervals across worlds. coverage: how often its interval
    held the truth. rejected: how often its p-value was below 5%. log_error: root of the mean squared standard error of log(1 + uplift)
    that it claims, from users alone. spread: standard deviation of estimate - truth over worlds, which users' and learners' luck make.
    undefined: worlds in which it claims nothing, which are left out.
    """

    estimate: Difference
    bias: Difference
    coverage: Rate
    rejected: Rate
    log_error: float
    spread: float
    undefined: int


def score(found: Sequence[Estimate], truth: Sequence[float]) -> Score:
    """found, truth: [worlds] each; a truth that is not known is NaN, and counts in the rejections alone."""
    known = [(one, true) for one, true in zip(found, truth, strict=True) if not math.isnan(one.relative)]
    errors = np.array([one.relative - true for one, true in known])
    errors = errors[~np.isnan(errors)]
    covered = [one.lo <= true <= one.hi for one, true in known if not math.isnan(true)]
    variances = [one.log_error**2 for one, _ in known if not math.isnan(one.log_error)]
    return Score(
        across_seeds(np.array([one.relative for one, _ in known])),
        across_seeds(errors),
        rate(sum(covered), len(covered)),
        rate(sum(one.p < ALPHA for one, _ in known), len(known)),
        math.sqrt(sum(variances) / len(variances)) if variances else math.nan,
        float(errors.std(ddof=1)) if len(errors) > 1 else math.nan,
        len(found) - len(known),
    )


def power_curve(effect: float, log_error: float, users: float) -> list[tuple[float, float]]:
    """(users, chance to find the effect), from an eighth of the users to 64 times as many or until nearly every test finds it.

    The standard error falls with the root of the users: it is of users' luck alone, and the learners' does not fall in this way.
    """
    if math.isnan(effect) or not log_error > 0:
        return []
    enough = users_needed(effect, log_error, round(users), power=0.99)
    most = max(64 * users, enough if math.isfinite(enough) else 0.0)
    at = np.geomspace(users / 8, most, POINTS)
    return [(float(n), power_at(effect, log_error * math.sqrt(users / n))) for n in at]


def crossings(p: np.ndarray) -> dict[str, bool]:
    """Rule → whether it ends a test with a finding. p: of each day, over the days so far, [days]; NaN finds nothing."""
    z = np.nan_to_num(scipy.stats.norm.isf(p / 2))
    return {name: bool((z > np.array(of(len(z)))).any()) for name, of in RULES.items()}


def _always_valid(n: int) -> list[float]:
    """z from which a mixture of likelihood ratios is at least 1 / α, however long the test lasts (Robbins 1970; Johari, Pekelis and
    Walsh 2015). The mixture's variance is that which finds most on the last of the n days: its ratio r to the estimate's there
    solves r = log(1 + r) - 2 log α.
    """
    last = float(-1 - lambertw(-(ALPHA**2) / math.e, -1).real)
    ratios = last * np.arange(1, n + 1) / n
    return list(np.sqrt((1 + 1 / ratios) * (np.log1p(ratios) - 2 * math.log(ALPHA))))


def _z(alpha: float) -> float:
    return float(scipy.stats.norm.isf(alpha / 2))


# Rule → the |z| that it wants on each of n days to call it a finding.
RULES: Mapping[str, Callable[[int], Sequence[float]]] = {
    "once, at the end": lambda n: [math.inf] * (n - 1) + [_z(ALPHA)],
    "naively every day": lambda n: [_z(ALPHA)] * n,
    "Bonferroni": lambda n: [_z(ALPHA / n)] * n,
    "O'Brien-Fleming": lambda n: bounds(tuple((i + 1) / n for i in range(n))),
    "always valid": _always_valid,
}
