"""Ground truth: users, items, arrivals, choice, drift, delay. Knows nothing of models."""

from __future__ import annotations

from simulator.world.clock import DAY_MS, EPOCH_MS, HOUR_MS
from simulator.world.config import WorldConfig
from simulator.world.world import MAX_SLATE, Response, Tick, World, exposure_ids

__all__ = ["DAY_MS", "EPOCH_MS", "HOUR_MS", "MAX_SLATE", "Response", "Tick", "World", "WorldConfig", "exposure_ids"]
