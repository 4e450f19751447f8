"""How much there was to win: what an oracle and what chance would have earned with the same requests."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Bounds"]


class Bounds(NamedTuple):
    """policy: `oracle`, `random` or an arm. All CTRs are expected ones, over the A/B days.

    ctr: of each arm. share: arm → (CTR - random) / (oracle - random). regained: treatment → its true uplift as a share of
    the distance from the control to the oracle. quality: policy → (AUC, log loss) of the world's own probabilities on what
    it showed. days: policy → day → (CTR, AUC, log loss).
    """

    oracle_ctr: float
    random_ctr: float
    ctr: dict[str, float]
    share: dict[str, float]
    regained: dict[str, float]
    quality: dict[str, tuple[float, float]]
    days: dict[str, dict[int, tuple[float, float, float]]]
