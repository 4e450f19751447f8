"""Arrivals: which users send requests in a tick, and when. Pure per user."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simulator.world.clock import DAY_MS, EPOCH_MS, HOUR_MS
from simulator.world.config import ArrivalsConfig
from simulator.world.draws import find_above, uniform
from simulator.world.users import Users

__all__ = ["MAX_REQUESTS", "Arrivals", "Requests"]

MAX_REQUESTS = 31  # of a user in a tick: what a request id has room for
DAYS_A_WEEK = 7
WEEKEND = (5, 6)
WITHIN_VISIT_MS = 5 * 60_000  # further requests of a visit come within this time, if the tick is that long


class Requests(NamedTuple):
    """Requests of a tick in the order (time, user). user, sequence (within user and tick), time_ms: int64 [n]."""

    user: np.ndarray
    sequence: np.ndarray
    time_ms: np.ndarray


class Arrivals:
    """Visits are a Poisson process with a rate by user, time of day and day of week; a visit has several requests."""

    def __init__(self, config: ArrivalsConfig, users: Users, seed: int, tick_ms: int) -> None:
        self._config = config
        self._users = users
        self._seed = seed
        self._tick_ms = tick_ms
        self._away: tuple[int, np.ndarray] | None = None
        present = 1 - users.config.away_share
        weekly = (5 + 2 * config.weekend_factor) / DAYS_A_WEEK
        visits = users.config.requests_per_day / config.session_requests
        # Days away and busy weekends shift requests between days, not how many there are.
        self._visits_per_tick = visits * users.activity / present / weekly * tick_ms / DAY_MS

    def rate_factor(self, time_ms: int) -> float:
        """The rate at a time over the mean of its day, times the weekend's factor."""
        hour = (time_ms % DAY_MS) / HOUR_MS
        daily = 1 + self._config.daily_swing * np.cos(2 * np.pi * (hour - self._config.peak_hour) / 24)
        weekday = (time_ms - EPOCH_MS) // DAY_MS % DAYS_A_WEEK
        return float(daily * (self._config.weekend_factor if weekday in WEEKEND else 1.0))

    def _present(self, day: int) -> np.ndarray:
        if self._away is None or self._away[0] != day:
            self._away = day, ~self._users.is_away(day)
        return self._away[1]

    def at(self, tick: int, users: np.ndarray | None) -> Requests:
        """The requests of a tick. users: bool [all users], whose to draw; None for all."""
        start_ms = EPOCH_MS + tick * self._tick_ms
        seed, factor = self._seed, self.rate_factor(start_ms + self._tick_ms // 2)
        chosen = self._present((start_ms - EPOCH_MS) // DAY_MS)
        chosen = chosen if users is None else chosen & users
        # Who comes has a draw above exp(-rate), and so above 1 - rate, which costs less to compute for all.
        ids, draw = find_above(seed, "arrival", chosen, tick, 1 - 1e-12 - factor * self._visits_per_tick)
        rate = self._visits_per_tick[ids] * factor
        comes = draw > np.exp(-rate)
        ids, rate, draw = ids[comes], rate[comes], draw[comes]
        count = self._visits(rate, draw)
        more = 1 - 1 / self._config.session_requests
        if more > 0:
            # The sum of `count` geometric session lengths: extra requests, one chance at a time.
            extra = np.zeros(len(ids), dtype=np.int64)
            for visit in range(int(count.max(initial=0))):
                length = np.floor(np.log(uniform(seed, "session", ids, tick, visit)) / np.log(more)).astype(np.int64)
                extra += np.where(visit < count, length, 0)
            total = np.minimum(count + extra, MAX_REQUESTS)
        else:
            total = np.minimum(count, MAX_REQUESTS)
        user = np.repeat(ids, total)
        starts = np.concatenate(([0], np.cumsum(total)))[:-1]
        sequence = np.arange(len(user)) - np.repeat(starts, total)
        visits = np.repeat(count, total)
        # The first `count` requests begin visits; the others follow one of them.
        leader = np.where(sequence < visits, sequence, sequence % np.maximum(visits, 1))
        begin = uniform(seed, "arrival/time", user, tick, leader)
        follows = sequence >= visits
        within = min(WITHIN_VISIT_MS / self._tick_ms, 1.0)
        offset = np.where(follows, within * uniform(seed, "arrival/follow", user, tick, sequence), 0.0)
        time_ms = start_ms + np.minimum((begin + offset) * self._tick_ms, self._tick_ms - 1).astype(np.int64)
        order = np.argsort(time_ms, kind="stable")  # users and sequences rise already
        return Requests(user[order], sequence[order], time_ms[order])

    @staticmethod
    def _visits(rate: np.ndarray, draw: np.ndarray) -> np.ndarray:
        """Poisson counts by inversion, for draws above exp(-rate)."""
        count = np.ones(len(rate), dtype=np.int64)
        term = np.exp(-rate) * rate
        total = np.exp(-rate) + term
        while (beyond := (draw > total) & (count < MAX_REQUESTS)).any():
            count += beyond
            term = term * rate / np.maximum(count, 1)
            total = np.where(beyond, total + term, total)
        return count
