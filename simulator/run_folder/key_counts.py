"""Exposures and clicks counted by key: by user, by item, by user and topic."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["Counted", "KeyCounts", "sum_by_key"]

# Rows that wait to be counted together: many at once cost less than a few many times, and ten MB are no matter.
TOGETHER = 1 << 20
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
        self._waiting: list[tuple[np.ndarray, np.ndarray]] = []  # keys of rows, and of those clicked
        self._rows = 0

    def add(self, key: np.ndarray, label: np.ndarray) -> None:
        """Rows: their keys [n] and labels [n], 0 or 1."""
        # A copy of what may hold on to its whole record.
        self._waiting.append((key if key.flags.owndata else key.copy(), key[label != 0]))
        self._rows += len(key)
        if self._rows >= max(TOGETHER, len(self._counted.key)):  # so that the known keys are seldom sorted again
            self.counted()

    def counted(self) -> Counted:
        """What was counted so far."""
        if self._rows:
            shown, clicked = (np.concatenate(keys) for keys in zip(*self._waiting, strict=True))
            self._counted = _add(self._counted, shown, clicked)
            self._waiting, self._rows = [], 0
        return self._counted


def _add(before: Counted, shown: np.ndarray, clicked: np.ndarray) -> Counted:
    """The counts with those of more rows: shown [n], of which clicked."""
    ends = (shown.min(), shown.max(), *before.key[:1], *before.key[-1:])
    if (found := _span(shown, min(ends), max(ends))) is None:
        key = np.concatenate((before.key, shown, clicked)) if len(before.key) else np.concatenate((shown, clicked))
        zero, one = np.zeros(len(clicked)), np.ones(len(clicked))
        exposures = np.concatenate((before.exposures, np.ones(len(shown)), zero))
        return sum_by_key(key, exposures, np.concatenate((before.clicks, np.zeros(len(shown)), one)))
    low, span = found
    exposures, clicks = np.bincount(shown - low, minlength=span), np.bincount(clicked - low, minlength=span)
    exposures[before.key - low] += before.exposures
    clicks[before.key - low] += before.clicks
    there = np.flatnonzero(exposures)
    return Counted(there + low, exposures[there], clicks[there])


def _span(key: np.ndarray, low: int, high: int) -> tuple[int, int] | None:
    """(low, how many values to high) where keys, [n], lie close together; None where not, and for texts."""
    if key.dtype != np.int64:
        return None
    span = int(high) - int(low) + 1
    return (int(low), span) if span <= SPAN * len(key) else None


def sum_by_key(key: np.ndarray, exposures: np.ndarray, clicks: np.ndarray) -> Counted:
    """Counts [n] of keys [n] that may be there several times, added up."""
    if len(key) and (found := _span(key, key.min(), key.max())) is not None:
        low, span = found
        sums = [np.bincount(key - low, weights, span).astype(np.int64) for weights in (exposures, clicks)]
        there = np.flatnonzero(sums[0])
        return Counted(there + low, sums[0][there], sums[1][there])
    different, place = np.unique(key, return_inverse=True)
    sums = [np.bincount(place, weights, len(different)).astype(np.int64) for weights in (exposures, clicks)]
    return Counted(different, *sums)
