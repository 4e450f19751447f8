"""What servers sum up for the true CTR and its bounds: whole numbers, which come out the same in any order and in any parts.

A sum of floats depends on the order of its terms, and so on how many processes share them. Probabilities and entropies are
therefore rounded to multiples of 2^-40 (1e-12) and summed as integers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from reloop_stream.metrics import TINY, StreamMetrics
from simulator.run_folder.manifest import BoundRow, TruthRow
from simulator.run_folder.tables import as_value

__all__ = ["ONE", "BoundSum", "TruthSum", "bound_rows", "truth_rows", "units"]

ONE = 1 << 40  # a probability of 1


def units(values: np.ndarray) -> int:
    """The sum of values far below 2^22 in all, in units of 1 / ONE.

    >>> units(np.array([0.25, 0.5])) / ONE
    0.75
    """
    return int(np.rint(values * ONE).astype(np.int64).sum())


@dataclass(slots=True)
class TruthSum:
    """What everyone (or a shard of them) would click on a day, were this arm's model everyone's. expected_clicks: in units."""

    day: int
    arm: str
    exposures: int = 0
    expected_clicks: int = 0

    def add(self, probability: np.ndarray) -> None:
        """Of clicks on what was shown."""
        self.exposures += probability.size
        self.expected_clicks += units(probability)

    def merge(self, other: TruthSum) -> None:
        self.exposures += other.exposures
        self.expected_clicks += other.expected_clicks


@dataclass(slots=True)
class BoundSum:
    """What a policy showed on a day. quality: of the world's click probabilities, as predictions of the labels, for its histogram
    alone, which holds whole numbers. expected_clicks, cross_entropy: in units."""

    day: int
    policy: str
    exposures: int = 0
    expected_clicks: int = 0
    cross_entropy: int = 0
    quality: StreamMetrics = field(default_factory=StreamMetrics)

    def add(self, probability: np.ndarray, on_time: float, label: np.ndarray) -> None:
        """probability: of clicks, of which this share is on time and gives a label: [requests, slate] each."""
        self.exposures += probability.size
        self.expected_clicks += units(probability)
        predicted = on_time * probability.ravel()
        self.quality.add(predicted, label.ravel())
        right = np.where(label.ravel(), predicted, 1 - predicted)
        self.cross_entropy += units(-np.log(np.maximum(right, TINY)))

    def merge(self, other: BoundSum) -> None:
        self.exposures += other.exposures
        self.expected_clicks += other.expected_clicks
        self.cross_entropy += other.cross_entropy
        self.quality.merge(other.quality)


def truth_rows(sums: Iterable[TruthSum], kind: str) -> list[TruthRow]:
    """A row a day and arm, from the sums of any number of servers."""
    found: dict[tuple[int, str], TruthSum] = {}
    for one in sums:
        found.setdefault((one.day, one.arm), TruthSum(one.day, one.arm)).merge(one)
    return [TruthRow(kind, one.day, one.arm, one.exposures, one.expected_clicks / ONE) for one in found.values()]


def bound_rows(sums: Iterable[BoundSum]) -> list[BoundRow]:
    """A row a day and policy, likewise."""
    found: dict[tuple[int, str], BoundSum] = {}
    for one in sums:
        found.setdefault((one.day, one.policy), BoundSum(one.day, one.policy)).merge(one)
    return [
        BoundRow(
            one.day,
            one.policy,
            one.exposures,
            one.expected_clicks / ONE,
            as_value(one.quality.auc),
            one.cross_entropy / ONE / one.exposures if one.exposures else None,
        )
        for one in found.values()
    ]
