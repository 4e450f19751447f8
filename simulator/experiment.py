"""The experiment around the world: phases on a calendar, users assigned to arms by hash, and who trains on what."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from reloop_stream.events import ExampleBatch
from reloop_stream.worker import Rows, every_row
from simulator.scenario import Phase

__all__ = ["Assignment", "Calendar", "hash_to_unit", "training_rows"]

# PlanOut's rule: the first 15 hex digits of a SHA-1, as a fraction of the largest such number.
HASH_DIGITS = 15
HASH_MAX = 16**HASH_DIGITS - 1


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


def hash_to_unit(text: str) -> float:
    """A number in [0, 1] from a text, by PlanOut's rule.

    >>> hash_to_unit("newsfeed.1.42") == hash_to_unit("newsfeed.1.42")
    True
    """
    return int(hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()[:HASH_DIGITS], 16) / HASH_MAX


class Assignment:
    """Sticky assignment of users to arms: a function of the user, the experiment's name and the salt, and nothing else.

    Also splits users into `co_diverted` parts, by a second and independent hash.
    """

    def __init__(self, experiment: str, salt: str, shares: Sequence[float]) -> None:
        self._prefix = f"{experiment}.{salt}."
        self._ends = np.cumsum(shares)
        self._ends[-1] = 1.0  # shares written as decimals may add up to 0.9999999999999999
        self._arms: dict[int | str, int] = {}
        self._parts: dict[int | str, int] = {}

    def arms(self, users: np.ndarray) -> np.ndarray:
        """The arm's index of each user, int32 [n]."""
        return self._look_up(users, self._arms, self._prefix, self._ends)

    def parts(self, users: np.ndarray) -> np.ndarray:
        """The co-diverted part of each user: as many equal parts as there are arms, independent of the arms."""
        equal = np.arange(1, len(self._ends) + 1) / len(self._ends)
        return self._look_up(users, self._parts, f"{self._prefix}part.", equal)

    def _look_up(self, users: np.ndarray, known: dict[int | str, int], prefix: str, ends: np.ndarray) -> np.ndarray:
        unique, inverse = np.unique(users, return_inverse=True)
        values = unique.tolist()
        for user in values:
            if user not in known:
                known[user] = int(np.searchsorted(ends, hash_to_unit(f"{prefix}{user}"), side="left"))
        return np.array([known[user] for user in values], dtype=np.int32)[inverse]


def training_rows(
    rule: Literal["own", "shared", "co_diverted"], arm: int, names: Sequence[str], assignment: Assignment, since_ms: int
) -> Callable[[ExampleBatch], Rows]:
    """Which examples the arm's learner trains on, from the start of A/B (`since_ms`) on.

    own: its own users'. shared: everyone's. co_diverted: those of a random part of all users, a part an arm.
    Examples served before `since_ms` came from the control learner that all arms share: they are nobody's own.
    Of one's own arm are also those rows whose label came later but that were served before: a fork takes
    over only the open exposures of the partitions that it reads.
    """
    if len(names) == 1:
        return every_row
    name = names[arm]

    def rows(examples: ExampleBatch) -> Rows:
        exposures = examples.exposures
        own = exposures.arm == name
        if rule == "own":
            return Rows(own | (examples.label_time_ms < since_ms), None)
        foreign = ~own & (exposures.event_time_ms >= since_ms)
        if rule == "shared":
            return Rows(None, foreign)
        part = assignment.parts(exposures.user_id) == arm
        return Rows(part | (examples.label_time_ms < since_ms), foreign)

    return rows
