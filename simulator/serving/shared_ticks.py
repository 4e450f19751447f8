"""Ticks of the world for several servers of one process: drawn once, for all whom they serve, and each is given its users'."""

from __future__ import annotations

import numpy as np

from simulator.experiment.calendar import Calendar
from simulator.world import Tick, World

__all__ = ["SharedTicks"]


class SharedTicks:
    """Those of a run's calendar, of one or more of the world's each. The latest is kept: servers go through them in step."""

    def __init__(self, world: World, calendar: Calendar) -> None:
        self._world = world
        self._calendar = calendar
        self._groups: list[np.ndarray] = []
        self._latest: tuple[int, Tick] | None = None

    def join(self, users: np.ndarray) -> None:
        """Say whom a server will ask for, bool [users]."""
        self._groups.append(users)
        self._latest = None

    def leave(self, users: np.ndarray) -> None:
        """Say that it will not ask any more."""
        self._groups = [group for group in self._groups if group is not users]
        self._latest = None

    def at(self, tick: int, users: np.ndarray) -> Tick:
        """The requests of these users, as `World.ticks` has them."""
        if self._latest is None or self._latest[0] != tick:
            everyone = np.logical_or.reduce([users, *self._groups])
            first, end = map(self._world.tick_at, self._calendar.bounds_ms[tick : tick + 2].tolist())
            self._latest = tick, self._world.ticks(first, end, everyone)
        shared = self._latest[1]
        mine = users[shared.user]
        return shared if mine.all() else shared.take(mine)
