"""Whether predictions mean what they say: clicks against pCTR, bin by bin."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["ReliabilityBin"]


class ReliabilityBin(NamedTuple):
    """predicted: mean pCTR of the bin's exposures. observed: their CTR, with its interval."""

    predicted: float
    observed: float
    lo: float
    hi: float
    exposures: int
