"""What a model sees of a number: its logarithm, how it stands among those before it, or a bucket of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

__all__ = ["FURTHEST", "Moments", "bucket_of", "signed_log1p"]

FURTHEST = 10.0  # standard deviations from the mean at which a standardised number is cut
NO_SPREAD = 1e-12  # a standard deviation below this share of the mean is rounding
LOWEST_KEY = -(2.0**62)


def signed_log1p(x: np.ndarray) -> np.ndarray:
    """sign(x)·log(1 + |x|), float64 [n]: defined below zero too, where some data sets have counts of -1 and -2.

    >>> signed_log1p(np.array([-1.0, 0.0, 1.0])).round(4).tolist()
    [-0.6931, 0.0, 0.6931]
    """
    wide = x.astype(np.float64)
    return np.copysign(np.log1p(np.abs(wide)), wide)


def bucket_of(x: np.ndarray, edges: Sequence[float] | None) -> np.ndarray:
    """The bucket of each number, int64 [n], to be mapped to rows as a category is.

    edges: rising; bucket i holds edges[i - 1] <= x < edges[i]. None: floor(log(x)²) for x > 2, and each integer up to 2 for
    itself, the rule of the winners of Criteo's display advertising challenge (Juan, Zhuang, Chin and Lohkamp 2014, "3 Idiots'
    approach"). Theirs keeps the two kinds apart, and so does the 3 that is added here to the first.

    >>> bucket_of(np.array([-1, 0, 2, 3, 1000]), None).tolist()
    [-1, 0, 2, 4, 50]
    >>> bucket_of(np.array([-5.0, 0.0, 9.9, 10.0]), (0, 10)).tolist()
    [0, 1, 1, 2]
    """
    wide = x.astype(np.float64)
    if edges is not None:
        return np.searchsorted(np.asarray(edges, dtype=np.float64), wide, side="right")
    large = wide > 2
    keys = np.floor(np.clip(wide, LOWEST_KEY, 2))
    keys[large] = 3 + np.floor(np.log(wide[large]) ** 2)
    return keys.astype(np.int64)


class Moments(NamedTuple):
    """Of numbers seen: how many, their mean, and the sum of their squared distances from it.

    >>> seen = Moments().joined(np.array([1.0, 3.0])).joined(np.array([5.0]))
    >>> seen.n, seen.mean, seen.squares
    (3.0, 3.0, 8.0)
    >>> seen.standardised(np.array([3.0, 1e9])).tolist()
    [0.0, 10.0]
    """

    n: float = 0.0
    mean: float = 0.0
    squares: float = 0.0

    def joined(self, x: np.ndarray) -> Moments:
        """With more numbers, [n] (Chan, Golub and LeVeque 1979, "Updating formulae and a pairwise algorithm")."""
        if not len(x):
            return self
        wide = x.astype(np.float64)
        more, mean = float(len(wide)), float(wide.mean())
        n, gap = self.n + more, mean - self.mean
        squares = float(np.square(wide - mean).sum()) + gap * gap * self.n * more / n
        return Moments(n, self.mean + gap * more / n, self.squares + squares)

    def standardised(self, x: np.ndarray) -> np.ndarray:
        """How many standard deviations each number lies from the mean, float64 [n], at most `FURTHEST` of them.

        0 where nothing has been seen, or nothing but one value.
        """
        sd = (self.squares / self.n) ** 0.5 if self.n else 0.0
        if sd <= NO_SPREAD * abs(self.mean):
            return np.zeros(len(x))
        return np.clip((x.astype(np.float64) - self.mean) / sd, -FURTHEST, FURTHEST)
