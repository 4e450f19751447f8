"""The experiment around the world: phases on a calendar, users assigned to arms by hash, and who trains on what."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from simulator.scenario import Phase

__all__ = ["BLOCKS_A_DAY", "Calendar"]

# Stretches of a day whose results are taken to be draws of one kind: enough for an interval of a single day (t with 23
# degrees of freedom is nearly normal), and long enough that few events stand at their borders.
BLOCKS_A_DAY = 24


@dataclass(frozen=True)
class Calendar:
    """When each tick begins and ends, and which day and phase it belongs to.

    After the serving ticks come closing ticks, on which nothing is served and clicks still arrive until every
    attribution window has closed.

    bounds_ms: int64 [ticks + 1], tick i covers [bounds_ms[i], bounds_ms[i + 1]).
    day_bounds_ms: int64 [days + 1], likewise.
    serving_ticks: how many ticks serve; phases: the phase of each day.
    """

    bounds_ms: np.ndarray
    day_bounds_ms: np.ndarray
    serving_ticks: int
    phases: tuple[Phase, ...]

    @classmethod
    def regular(
        cls, *, start_ms: int, tick_ms: int, day_ms: int, days: dict[Phase, int], attribution_ms: int
    ) -> Calendar:
        """Ticks of one length, days that follow one another through the phases."""
        phases = tuple(phase for phase, n in days.items() for _ in range(n))
        serving = len(phases) * day_ms // tick_ms
        # One more than the window needs: a window is closed once the clock is past its end.
        closing = attribution_ms // tick_ms + 1
        bounds = start_ms + tick_ms * np.arange(serving + closing + 1, dtype=np.int64)
        return cls(bounds, start_ms + day_ms * np.arange(len(phases) + 1, dtype=np.int64), serving, phases)

    def joined(self, bounds: np.ndarray) -> Calendar:
        """The same days in longer ticks: from each of these bounds, rising indices of `bounds_ms`, to the next. That of the last
        serving tick must be among them."""
        serving = int(np.searchsorted(bounds, self.serving_ticks))
        return Calendar(self.bounds_ms[bounds], self.day_bounds_ms, serving, self.phases)

    @property
    def ticks(self) -> int:
        return len(self.bounds_ms) - 1

    @property
    def days(self) -> int:
        return len(self.phases)

    def day_of(self, time_ms: np.ndarray) -> np.ndarray:
        """The day of each time, int64 [n]."""
        return np.searchsorted(self.day_bounds_ms, time_ms, side="right") - 1

    def day_of_tick(self, tick: int) -> int:
        """The day that a tick belongs to; closing ticks belong to the last one."""
        return min(int(self.day_of(self.bounds_ms[tick : tick + 1])[0]), self.days - 1)

    def phase_of_tick(self, tick: int) -> Phase:
        return self.phases[self.day_of_tick(tick)]

    @cached_property
    def _block_of_tick(self) -> np.ndarray:
        """The block of each serving tick within its day, int64 [serving_ticks]."""
        day = self.day_of(self.bounds_ms[: self.serving_ticks])
        first = np.searchsorted(day, np.arange(self.days))
        ticks = np.bincount(day, minlength=self.days)
        in_day = np.arange(self.serving_ticks) - first[day]
        blocks: np.ndarray = in_day * np.minimum(BLOCKS_A_DAY, ticks[day]) // ticks[day]
        return blocks

    def block_of(self, time_ms: np.ndarray) -> np.ndarray:
        """The block of each time within its day, int64 [n], from 0.

        A day is cut into BLOCKS_A_DAY stretches of as many ticks, or one or the other a tick longer; where it has fewer
        ticks, a tick is a block. In a replay ticks are cut by count, and blocks hold about as many events each.
        """
        tick = np.searchsorted(self.bounds_ms, time_ms, side="right") - 1
        blocks: np.ndarray = self._block_of_tick[np.minimum(tick, self.serving_ticks - 1)]
        return blocks

    def first_tick_of(self, phase: Phase) -> int:
        """The first tick of a phase; the number of serving ticks where the phase has no day."""
        if phase not in self.phases:
            return self.serving_ticks
        at_ms = self.day_bounds_ms[self.phases.index(phase)]
        return int(np.searchsorted(self.bounds_ms, at_ms, side="left"))

    def publish_ticks(self, every_ms: int) -> np.ndarray:
        """The ticks at whose end a version is published, in order: version v is trained through entry v - 1."""
        intervals = self.bounds_ms // every_ms
        return np.flatnonzero(intervals[1:] > intervals[:-1])
