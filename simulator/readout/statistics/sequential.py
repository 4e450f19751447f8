"""How a test may be looked at on every day and still be wrong no more often than it says: group-sequential bounds.

No library here has them (statsmodels does not either); the recursion is 20 lines of numpy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri

from simulator.readout.statistics.estimate import CONFIDENCE, Estimate

__all__ = ["Look", "bounds", "looks_of", "repeated_interval", "spent"]

FARTHEST = 38.0  # beyond it a normal tail is no double


class Look(NamedTuple):
    """What the test says on one day, had it been looked at on each day up to it.

    day: from 0, as in daily.csv. information: share of the planned A/B days that are over, in (0, 1]. estimate: over those
    days, with its fixed interval. bound: the critical z of this look. lo, hi: repeated confidence interval, of the relative
    uplift. crossed: whether |z| passed the bound.
    """

    day: int
    information: float
    estimate: Estimate
    bound: float
    lo: float
    hi: float
    crossed: bool


def spent(information: float, alpha: float = 1 - CONFIDENCE) -> float:
    """How much of a two-sided α may be used up by then: Lan and DeMets' (1983) function of O'Brien and Fleming's type.

    Each side spends 2 (1 - Φ(z_{α/4} / √t)) of its α/2: next to nothing early, nearly all of it at the end.

    >>> round(spent(0.5), 4), round(spent(1.0), 4)
    (0.0031, 0.05)
    """
    return float(4 * ndtr(ndtri(alpha / 4) / math.sqrt(information)))


@lru_cache(maxsize=64)
def bounds(information: tuple[float, ...], alpha: float = 1 - CONFIDENCE) -> tuple[float, ...]:
    """The critical |z| of each look, such that all looks together cross one of them in α of the tests without an effect.

    information: rising, each in (0, 1]. Looks are taken to grow in information by independent increments, which holds for
    a mean of new users; days that bring the same users again are more alike, and then α is not used up. inf for a look so
    early that no double holds its share of α.

    The density of those paths that have not crossed yet is carried from look to look (Armitage, McPherson and Rowe 1969),
    on Gauss-Legendre nodes, four to a standard deviation of what a look adds.

    >>> [round(bound, 3) for bound in bounds((0.2, 0.4, 0.6, 0.8, 1.0))]
    [4.877, 3.357, 2.68, 2.29, 2.031]
    """
    steps = np.sqrt(np.diff((0.0, *information)))
    # O'Brien and Fleming's bound of the sum so far hardly moves: it is about z_{α/4} at every look.
    nodes, weights = np.polynomial.legendre.leggauss(math.ceil(-8 * float(ndtri(alpha / 4)) / steps.min()) + 16)
    found: list[float] = []
    at, density, used = (
        np.zeros(1),
        np.ones(1),
        0.0,
    )  # of z √t, the sum so far; the density holds the quadrature's weights
    for t, step in zip(information, steps.tolist(), strict=True):
        may = spent(t, alpha)
        bound = _bound(at, density, step, math.sqrt(t), (may - used) / 2)
        found.append(bound)
        edge = min(bound, FARTHEST) * math.sqrt(t)
        reached = np.exp(-(((edge * nodes[:, None] - at) / step) ** 2) / 2) @ density / (step * math.sqrt(2 * math.pi))
        at, density, used = edge * nodes, reached * edge * weights, may
    return tuple(found)


def _bound(at: np.ndarray, density: np.ndarray, step: float, root: float, share: float) -> float:
    """The z whose upper tail, after a step from these places, holds this share. root: √t, the sum's deviation in all."""
    if not share > 0:
        return math.inf
    low, high = 0.0, FARTHEST
    while high - low > 1e-9:  # by halves: a tail falls with z, and is 0 long before FARTHEST
        middle = (low + high) / 2
        tail = float(ndtr((at - middle * root) / step) @ density)
        low, high = (middle, high) if tail > share else (low, middle)
    return high


def repeated_interval(estimate: Estimate, bound: float) -> tuple[float, float]:
    """The interval of a look that covers with all others at once: ± bound standard errors (Jennison and Turnbull 1989).

    Of the relative uplift: (-1, inf) where the bound is infinite, NaN where there is no estimate.
    """
    if math.isnan(estimate.log_error):
        return math.nan, math.nan
    if math.isinf(bound):
        return -1.0, math.inf
    centre, half = math.log1p(estimate.relative), bound * estimate.log_error
    return math.expm1(centre - half), _expm1(centre + half)


def _expm1(value: float) -> float:
    return math.expm1(value) if value < 700 else math.inf


def looks_of(days: Sequence[int], so_far: Sequence[Estimate], planned: int) -> list[Look]:
    """A look a day. so_far: the estimate from the first of the days up to each. planned: days that the test was to last.

    An uplift is looked at for itself: with several treatments each has its own α.
    """
    shares = tuple((i + 1) / max(planned, len(days)) for i in range(len(days)))
    found = []
    for day, share, estimate, bound in zip(days, shares, so_far, bounds(shares), strict=True):
        lo, hi = repeated_interval(estimate, bound)
        found.append(Look(day, share, estimate, bound, lo, hi, crossed=lo > 0 or hi < 0))
    return found
