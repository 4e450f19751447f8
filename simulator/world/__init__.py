"""Ground truth: users, items, arrivals, choice, drift, delay. Knows nothing of models.

A scenario's check needs `simulator.world.config` alone, so nothing else is loaded before it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulator.world.clock import DAY_MS, EPOCH_MS, HOUR_MS
    from simulator.world.config import WorldConfig
    from simulator.world.world import MAX_SLATE, Response, Tick, World, exposure_ids

__all__ = ["DAY_MS", "EPOCH_MS", "HOUR_MS", "MAX_SLATE", "Response", "Tick", "World", "WorldConfig", "exposure_ids"]

_HOME_OF = {"DAY_MS": "clock", "EPOCH_MS": "clock", "HOUR_MS": "clock", "WorldConfig": "config"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME_OF.get(name, 'world')}"), name)
