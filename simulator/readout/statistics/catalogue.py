"""How much of the catalogue an arm shows, how unequally, and how much of it is new."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa

__all__ = ["Catalogue", "catalogue_by_day", "gini", "over_days"]


class Catalogue(NamedTuple):
    """coverage: share of the live items that were shown at all. gini: of exposures over live items, 0 where all are shown
    alike. new_share: exposures of the youngest items over all.

    Who shows less reaches fewer items: coverage and Gini of arms compare where the arms have about as many exposures.
    """

    coverage: float
    gini: float
    new_share: float


class _Day(NamedTuple):
    shown: int
    live: int
    gini: float
    new: int
    exposures: int


def gini(exposures: np.ndarray, live: int) -> float:
    """Gini coefficient of exposures over `live` items: [shown] of those that had any, the rest had none.

    0 where all are shown alike, 1 - 1 / live where one has all. With x sorted, Σ (2 i - n - 1) x_i / (n Σ x), i from 1 to n, as
    by Dixon et al. 1987, "Bootstrapping the Gini coefficient of inequality". NaN where nothing was shown.

    >>> gini(np.array([5, 5]), live=2), gini(np.array([10]), live=4)
    (0.0, 0.75)
    """
    whole = float(exposures.sum())
    if not whole:
        return math.nan
    rank = np.arange(live - len(exposures) + 1, live + 1)  # behind the items without any
    return float(((2 * rank - live - 1) * np.sort(exposures)).sum() / (live * whole))


def catalogue_by_day(items: pa.Table) -> dict[str, dict[int, Catalogue]]:
    """Arm → day → what it showed that day. items: of items.parquet; an arm's day without an exposure is not there."""
    found: dict[str, dict[int, Catalogue]] = {}
    for arm, days in _days(items).items():
        found[arm] = {day: _of([sums]) for day, sums in days.items()}
    return found


def over_days(items: pa.Table, phase: str) -> dict[str, Catalogue]:
    """Arm → what it showed over the days of a phase: items shown over items live, each summed over days, the mean of the days'
    Ginis, and the share of all exposures."""
    of_phase = items.filter(pa.compute.equal(items["phase"], phase))
    return {arm: _of(days.values()) for arm, days in _days(of_phase).items()}


def _of(days: Iterable[_Day]) -> Catalogue:
    shown, live, ginis, new, exposures = (np.array(column) for column in zip(*days, strict=True))
    return Catalogue(float(shown.sum() / live.sum()), float(ginis.mean()), float(new.sum() / exposures.sum()))


def _days(items: pa.Table) -> Mapping[str, dict[int, _Day]]:
    arms = pa.compute.unique(items["arm"]).to_pylist()
    found: dict[str, dict[int, _Day]] = {}
    for arm in arms:
        mine = items.filter(pa.compute.equal(items["arm"], arm)).sort_by("day")
        day, exposures, new, live = (mine[name].to_numpy() for name in ("day", "exposures", "new_exposures", "live"))
        starts = np.flatnonzero(np.diff(day, prepend=-1))
        for number, start, end in zip(day[starts].tolist(), starts, [*starts[1:], len(day)], strict=True):
            part = slice(start, end)
            alive = int(live[start])
            sums = _Day(end - start, alive, gini(exposures[part], alive), new[part].sum(), exposures[part].sum())
            found.setdefault(arm, {})[number] = sums
    return found
