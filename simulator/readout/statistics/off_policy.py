"""What a policy would have earned, from the log of another: inverse propensities, and models to help them.

With r the reward of a row, p the propensity with which its action was logged, π the probability with which the policy to be
judged takes it, the weight is w = π / p. q(x, a) is what a model expects of an action, q(x, π) of the policy: Σ_a π(a|x) q(x, a).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from simulator.readout.statistics.clusters import Ratio, ratio

__all__ = ["LoggedPolicy", "MeanWeight", "PolicyValue", "dr", "estimators", "ips", "mean_weight", "snips", "switch_dr"]

MISFIT = 0.001  # as for the sample ratio: an alarm here is no bad luck


class LoggedPolicy(NamedTuple):
    """Rows of a log, and what the policy to be judged makes of them; float64 [n] each.

    propensity: in (0, 1]. target: π of the logged action, in [0, 1]. q_logged, q_target: q(x, a) of the logged action and
    q(x, π); None where no model helps. cluster: whose rows they are, ids [n]; None: each row is for itself.
    """

    reward: np.ndarray
    propensity: np.ndarray
    target: np.ndarray
    q_logged: np.ndarray | None = None
    q_target: np.ndarray | None = None
    cluster: np.ndarray | None = None

    @property
    def weight(self) -> np.ndarray:
        return np.asarray(self.target / self.propensity)


class PolicyValue(NamedTuple):
    """An estimate of the mean reward under a policy, with its 95% interval by cluster; NaN where it is not defined.

    ess: effective sample size (Σw)² / Σw² of the weights as used (Kong 1992). n: rows. cut: the share of rows whose weight
    was clipped, or left to the model. ratio: what differences to another policy are computed from.
    """

    estimate: float
    lo: float
    hi: float
    ess: float
    n: int
    cut: float
    ratio: Ratio


class MeanWeight(NamedTuple):
    """The mean of π / p, which is 1 where the propensities are those of the log, with its interval and p-value."""

    mean: float
    lo: float
    hi: float
    p: float

    @property
    def fits(self) -> bool:
        return not self.p < MISFIT


def ips(log: LoggedPolicy, clip: float = math.inf) -> PolicyValue:
    """Inverse propensity score: mean(w r), unbiased where p > 0 wherever π > 0 (Horvitz and Thompson 1952).

    clip: weights above it are cut to it (Ionides 2008), which biases towards 0 and tames the variance.
    """
    weight, cut = _clipped(log, clip)
    return _value(log, weight * log.reward, np.ones(len(weight)), weight, cut)


def snips(log: LoggedPolicy, clip: float = math.inf) -> PolicyValue:
    """Self-normalised: Σ w r / Σ w, within the range of the rewards, and consistent (Swaminathan and Joachims 2015)."""
    weight, cut = _clipped(log, clip)
    return _value(log, weight * log.reward, weight, weight, cut)


def dr(log: LoggedPolicy, clip: float = math.inf) -> PolicyValue:
    """Doubly robust: mean(q(x, π) + w (r − q(x, a))), right where p or q is (Dudík, Erhan, Langford and Li 2014)."""
    weight, cut = _clipped(log, clip)
    return _doubly_robust(log, weight, cut)


def switch_dr(log: LoggedPolicy, switch: float) -> PolicyValue:
    """Switch-DR: as `dr` where w ≤ switch, and q(x, π) alone elsewhere (Wang, Agarwal and Dudík 2017)."""
    cut = log.weight > switch
    return _doubly_robust(log, np.where(cut, 0.0, log.weight), cut)


def estimators(log: LoggedPolicy, clip: float = math.inf, switch: float = math.inf) -> dict[str, PolicyValue]:
    """By name: ips and snips, and where a model helps dr and switch_dr."""
    found = {"ips": ips(log, clip), "snips": snips(log, clip)}
    if log.q_logged is not None:
        found |= {"dr": dr(log, clip), "switch_dr": switch_dr(log, switch)}
    return found


def mean_weight(log: LoggedPolicy) -> MeanWeight:
    """Whether the propensities can be those of the log: the mean of the weights, none of them cut, against 1.

    It lies below 1 too where the policy wants what the log never shows.
    """
    found = ratio(log.weight, np.ones(len(log.weight)), log.cluster)
    lo, hi = found.interval
    p = found.test(1.0)
    if math.isnan(p) and len(found.error) > 1:  # all weights are one number
        p = 1.0 if math.isclose(found.value, 1.0, rel_tol=1e-6) else 0.0
    return MeanWeight(found.value, lo, hi, p)


def _clipped(log: LoggedPolicy, clip: float) -> tuple[np.ndarray, np.ndarray]:
    weight = log.weight
    return np.minimum(weight, clip), weight > clip


def _doubly_robust(log: LoggedPolicy, weight: np.ndarray, cut: np.ndarray) -> PolicyValue:
    assert log.q_logged is not None and log.q_target is not None
    return _value(log, log.q_target + weight * (log.reward - log.q_logged), np.ones(len(weight)), weight, cut)


def _value(
    log: LoggedPolicy, numerator: np.ndarray, denominator: np.ndarray, weight: np.ndarray, cut: np.ndarray
) -> PolicyValue:
    found = ratio(numerator, denominator, log.cluster)
    squares = float((weight**2).sum())
    ess = float(weight.sum()) ** 2 / squares if squares else 0.0
    n = len(weight)
    return PolicyValue(found.value, *found.interval, ess, n, float(cut.mean()) if n else math.nan, found)
