"""p-values of several questions asked of one experiment, corrected for how many there are."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import TypeVar

__all__ = ["holm"]

Key = TypeVar("Key", bound=Hashable)


def holm(p: Mapping[Key, float]) -> dict[Key, float]:
    """Adjusted p-values: the chance that any true null hypothesis has one below α is α at most, however they hang together.

    Holm (1979, "A simple sequentially rejective multiple test procedure"). What is not defined was not tested: it stays
    NaN and is not counted. scipy has no Holm, and tea-tasting's `adjust_fwer` takes only what it analysed itself.

    >>> holm({"b": 0.01, "c": 0.04, "d": math.nan, "e": 0.03})
    {'b': 0.03, 'c': 0.06, 'd': nan, 'e': 0.06}
    """
    tested = sorted((key for key in p if not math.isnan(p[key])), key=lambda key: p[key])
    found, least = dict(p), 0.0
    for i, key in enumerate(tested):
        least = max(least, min(1.0, (len(tested) - i) * p[key]))
        found[key] = least
    return found
