"""What every process of a run loads. Imported in the process that they are forked from, once for all of them.

Compiled code is loaded when it is first called, and numba's own tables with it, for half a second: so the smallest of worlds is
made here, and shown something.
"""

from __future__ import annotations

import numpy as np

import simulator.lab.crew  # noqa: F401
from simulator.world import DAY_MS, World, WorldConfig

__all__: list[str] = []

_tick = World(WorldConfig.model_validate({"users": {"n": 50}}), seed=1, tick_ms=DAY_MS, slate=1).tick(0)
_tick.respond(np.zeros((len(_tick.user), 1), dtype=np.int64))
