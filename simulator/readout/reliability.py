"""Whether predictions mean what they say: clicks against pCTR, bin by bin."""

from __future__ import annotations

import math
from typing import NamedTuple

import scipy.stats

from simulator.readout.statistics.estimate import CONFIDENCE
from simulator.run_folder.reader import Run

__all__ = ["ReliabilityBin", "reliability_of", "wilson"]


class ReliabilityBin(NamedTuple):
    """predicted: mean pCTR of the bin's exposures. observed: their CTR, with its interval."""

    predicted: float
    observed: float
    lo: float
    hi: float
    exposures: int


def reliability_of(run: Run, phase: str) -> dict[str, list[ReliabilityBin]]:
    """Arm → its bins over the days of a phase, by rising pCTR; those that hold no exposure are left out.

    The intervals take exposures for independent draws, which they nearly are once pCTR is given: in `quickstart.yaml` with a
    learning rate of 0.5, standard errors by user are 0.96 to 1.16 times these, bin by bin, and 1.9 times for the CTR as a whole.
    """
    found: dict[str, list[ReliabilityBin]] = {}
    for row in [] if run.reliability is None else run.reliability.to_pylist():
        if row["phase"] == phase:
            shown, clicks = row["exposures"], row["clicks"]
            bin_ = ReliabilityBin(row["predicted"] / shown, clicks / shown, *wilson(clicks, shown), round(shown))
            found.setdefault(row["arm"], []).append(bin_)
    return found


def wilson(hits: float, trials: float) -> tuple[float, float]:
    """Interval of a proportion (Wilson 1927), which has its level for few hits too. scipy's wants whole numbers, and weighted counts
    are none.

    >>> [round(end, 4) for end in wilson(0, 10)]
    [0.0, 0.2775]
    """
    z = float(scipy.stats.norm.ppf(0.5 + CONFIDENCE / 2))
    share = hits / trials
    middle = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z / (1 + z**2 / trials) * math.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    return max(0.0, middle - half), min(1.0, middle + half)
