"""What an experiment can find: from the standard error of its uplift, on the scale of log(1 + relative)."""

from __future__ import annotations

import math

import scipy.stats

from simulator.readout.statistics.estimate import CONFIDENCE

__all__ = ["POWER", "detectable", "power_at", "users_needed"]

POWER = 0.8  # as everyone has it


def _reach(power: float) -> float:
    """How many standard errors an effect must be away from 0 to be found."""
    return float(scipy.stats.norm.ppf(0.5 + CONFIDENCE / 2) + scipy.stats.norm.ppf(power))


def detectable(log_error: float, power: float = POWER) -> float:
    """The smallest relative uplift that a two-sided test at 5% finds with this power. NaN where the error is.

    The same as tea-tasting's `solve_power` where users are many; it wants the data again, and cannot take A/B - A/A.

    >>> round(detectable(0.01), 4)
    0.0284
    """
    return math.expm1(_reach(power) * log_error)


def users_needed(effect: float, log_error: float, users: int, power: float = POWER) -> float:
    """Users of both arms together who find this relative uplift, if `users` of them gave this standard error.

    The variance falls as one over the users, whose days and shares stay as they are. inf for an effect of 0.

    >>> round(users_needed(0.01, log_error=0.01, users=20_000))
    158549
    """
    return users * (_reach(power) * log_error / math.log1p(effect)) ** 2 if effect else math.inf


def power_at(effect: float, log_error: float) -> float:
    """The chance that a two-sided test at 5% finds this relative uplift, in either direction.

    >>> round(power_at(0.0, 0.01), 3), round(power_at(0.0284, 0.01), 2)
    (0.05, 0.8)
    """
    z, shift = float(scipy.stats.norm.ppf(0.5 + CONFIDENCE / 2)), math.log1p(effect) / log_error
    return float(scipy.stats.norm.cdf(shift - z) + scipy.stats.norm.cdf(-shift - z))
