"""Exposures and clicks counted by key: by user, by item, by user and topic."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["Counted", "KeyCounts"]

# Rows that wait to be counted together: many at once cost less than a few many times, and a few MB are no matter.
TOGETHER = 1 << 18
# Integers that span at most so many values a row are counted in an array of all these values: 20 times faster than sorting.
SPAN = 16


class Counted(NamedTuple):
    """key: different ones in their order, [k], integers or texts. exposures, clicks: int64 [k]."""

    key: np.ndarray
    exposures: np.ndarray
    clicks: np.ndarray


NOTHING = Counted(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64))


class KeyCounts:
    """How often each key came, and how often with a click. The counts do not depend on how the rows were cut.

    >>> counts = KeyCounts()
    >>> counts.add(np.array([7, 3, 7]), np.array([1, 0, 0]))
    >>> [column.tolist() for column in counts.counted()]
    [[3, 7], [1, 2], [0, 1]]
    """

    def __init__(self, counted: Counted = NOTHING) -> None:
        self._counted = counted
        self._waiting: list[tuple[np.ndarray, np.ndarray]] = []
        self._rows = 0

    def add(self, key: np.ndarray, label: np.ndarray) -> None:
        """Rows: their keys [n] and labels [n], 0 or 1."""
        self._waiting.append((np.array(key), np.array(label)))  # copies: a column may hold on to its whole record
        self._rows += len(key)
        if self._rows >= max(TOGETHER, len(self._counted.key)):  # so that the known keys are seldom sorted again
            self.counted()

    def counted(self) -> Counted:
        """What was counted so far."""
        if self._rows:
            before = self._counted
            key = np.concatenate([*([before.key] if len(before.key) else []), *(key for key, _ in self._waiting)])
            exposures = np.concatenate((before.exposures, np.ones(self._rows)))
            clicks = np.concatenate((before.clicks, *(label for _, label in self._waiting)))
            self._counted = _sum_by_key(key, exposures, clicks)
            self._waiting, self._rows = [], 0
        return self._counted


def _sum_by_key(key: np.ndarray, exposures: np.ndarray, clicks: np.ndarray) -> Counted:
    if key.dtype == np.int64 and (span := int(key.max()) - (low := int(key.min())) + 1) <= SPAN * len(key):
        place = key - low
        sums = [np.bincount(place, weights, span).astype(np.int64) for weights in (exposures, clicks)]
        there = np.flatnonzero(sums[0])
        return Counted(there + low, sums[0][there], sums[1][there])
    different, place = np.unique(key, return_inverse=True)
    sums = [np.bincount(place, weights, len(different)).astype(np.int64) for weights in (exposures, clicks)]
    return Counted(different, *sums)
