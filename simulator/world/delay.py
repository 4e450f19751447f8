"""How long after its exposure a click comes."""

from __future__ import annotations

import math

import numpy as np

from simulator.world.config import DelayConfig
from simulator.world.draws import exponential, normal

__all__ = ["click_delay_ms"]


def click_delay_ms(config: DelayConfig, seed: int, request_id: np.ndarray, item_id: np.ndarray) -> np.ndarray:
    """int64 [n], at least 0."""
    median_ms = config.median_minutes * 60_000
    if config.distribution == "none":
        return np.zeros(len(request_id), dtype=np.int64)
    if config.distribution == "exponential":
        return (exponential(seed, "delay", request_id, item_id) * median_ms / math.log(2)).astype(np.int64)
    spread = np.exp(config.sigma * normal(seed, "delay", request_id, item_id))
    return (median_ms * np.minimum(spread, 1e6)).astype(np.int64)
