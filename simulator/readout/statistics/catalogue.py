"""How much of the catalogue an arm shows, how unequally, and how much of it is new."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Catalogue"]


class Catalogue(NamedTuple):
    """coverage: share of the live items that were shown at all. gini: of exposures over live items, 0 where all are shown
    alike. new_share: exposures of the youngest items over all."""

    coverage: float
    gini: float
    new_share: float
