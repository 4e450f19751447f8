"""How two arms differ over blocks of time, with an interval that minds that blocks next to each other are alike.

An arm's metric comes with each block's share in its error, so that log loss, calibration and AUC are treated alike: where
arms saw the same events, what a block did to both cancels out. Two blocks a day or a hundred, one rule.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import scipy.stats

from simulator.readout.statistics.estimate import CONFIDENCE, Difference

__all__ = ["METRICS", "UNDEFINED", "Blocks", "Measured", "difference"]

UNDEFINED = Difference(math.nan, math.nan, math.nan, math.nan)
LEAST_BLOCKS = 8  # fewer say too little of how others would be: the t distribution's tails grow fast
ROUNDING = 1e-12  # errors that should be 0 come out at some 1e-16 of the value


class Blocks(NamedTuple):
    """One arm's blocks in the order of time, [blocks] each: the columns of `blocks.csv`, and auc: of the block's day."""

    day: np.ndarray
    weight: np.ndarray
    labels: np.ndarray
    predictions: np.ndarray
    cross_entropy: np.ndarray
    auc: np.ndarray
    auc_without: np.ndarray

    def part(self, rows: np.ndarray) -> Blocks:
        """The blocks in these places."""
        return Blocks(*(column[rows] for column in self))


class Measured(NamedTuple):
    """A metric over some blocks. errors: each block's share in the error of the value, [blocks], which sum to 0."""

    value: float
    errors: np.ndarray


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> Measured:
    """A ratio of sums over blocks; errors by the delta method."""
    whole = float(denominator.sum())
    value = float(numerator.sum()) / whole if whole > 0 else math.nan
    return Measured(value, (numerator - value * denominator) / whole if whole > 0 else np.zeros(len(numerator)))


def _area(blocks: Blocks) -> Measured:
    """The AUC, as a mean over days by weight.

    Errors by the jackknife that leaves out a block (Busing, Meijer and van der Leeden 1999, "Delete-m jackknife for unequal
    m"): a block's pseudo-value is h · AUC - (h - 1) · AUC without it, h being the day's weight over its own. A day of which
    some block holds all clicks has one value in all its blocks.
    """
    _, day = np.unique(blocks.day, return_inverse=True)
    weight, whole = blocks.weight, float(blocks.weight.sum())
    if not whole > 0:
        return Measured(math.nan, np.zeros(len(weight)))
    of_day = np.bincount(day, weight)[day]
    value = float((weight * blocks.auc).sum() / whole)
    others = (of_day - weight) * (blocks.auc - blocks.auc_without)  # weight · (pseudo-value - AUC)
    lacking = np.bincount(day, np.isnan(others))[day] > 0
    others = np.where(lacking | (weight == 0), 0.0, others)
    centre = np.bincount(day, others)[day] / of_day
    return Measured(value, (others - weight * centre + weight * (blocks.auc - value)) / whole)


METRICS: Mapping[str, Callable[[Blocks], Measured]] = {
    "logloss": lambda blocks: _ratio(blocks.cross_entropy, blocks.weight),
    "auc": _area,
    "calibration": lambda blocks: _ratio(blocks.predictions, blocks.labels),
}


def difference(control: Measured, treatment: Measured) -> Difference:
    """Treatment - control over the same blocks, with a t interval across blocks.

    Where the errors of neighbouring blocks go together (first autocorrelation above 0) and there are 16 blocks or more,
    neighbours are put together in pairs, again and again, so that a drift lasting some blocks is not taken for as many
    draws: batch means, whose intervals cover better here than those of a kernel estimate (Newey and West). Fewer blocks
    are taken as they are.
    """
    mean, errors = treatment.value - control.value, treatment.errors - control.errors
    if math.isnan(mean) or len(errors) < 2:
        return UNDEFINED
    if not mean and not errors.any():
        return Difference(0.0, 0.0, 0.0, 1.0)  # the arms are one and the same
    if np.abs(errors).max() <= ROUNDING * max(abs(control.value), abs(treatment.value)):
        return UNDEFINED  # blocks that all differ alike say nothing of how others would
    errors = _apart(errors)
    n = len(errors)
    spread = math.sqrt(float((errors**2).sum()) * n / (n - 1))
    if not spread:
        return UNDEFINED
    half = float(scipy.stats.t.ppf(0.5 + CONFIDENCE / 2, n - 1)) * spread
    p = float(2 * scipy.stats.t.sf(abs(mean) / spread, n - 1))
    return Difference(mean, mean - half, mean + half, p)


def _apart(errors: np.ndarray) -> np.ndarray:
    """The errors of blocks so long that neighbours do not go together, as far as there are enough of them."""
    while len(errors) >= 2 * LEAST_BLOCKS and float(errors[1:] @ errors[:-1]) > 0:
        errors = np.add.reduceat(
            errors, np.arange(0, len(errors) - 1, 2)
        )  # of an odd number the last joins the last pair
    return errors
