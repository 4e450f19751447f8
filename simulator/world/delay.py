"""How long after its exposure a click comes."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

from simulator.world.config import DelayConfig
from simulator.world.draws import exponential, normal

__all__ = ["click_delay_ms", "share_within"]


def click_delay_ms(config: DelayConfig, seed: int, request_id: np.ndarray, item_id: np.ndarray) -> np.ndarray:
    """int64 [n], at least 0."""
    median_ms = config.median_minutes * 60_000
    if config.distribution == "none":
        return np.zeros(len(request_id), dtype=np.int64)
    if config.distribution == "exponential":
        return (exponential(seed, "delay", request_id, item_id) * median_ms / math.log(2)).astype(np.int64)
    spread = np.exp(config.sigma * normal(seed, "delay", request_id, item_id))
    return (median_ms * np.minimum(spread, 1e6)).astype(np.int64)


def share_within(config: DelayConfig, within_ms: int) -> float:
    """The probability that a click comes at most so long after its exposure.

    >>> round(share_within(DelayConfig(distribution="exponential", median_minutes=10), 20 * 60_000), 6)
    0.75
    """
    medians = within_ms / (config.median_minutes * 60_000)
    if config.distribution == "none":
        return 1.0
    if config.distribution == "exponential":
        return float(1.0 - 0.5**medians)
    if not config.sigma or not medians:
        return float(medians >= 1)
    return NormalDist().cdf(math.log(medians) / config.sigma)
