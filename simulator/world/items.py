"""Items: born at a steady rate, each with a topic, a quality, a popularity and a lifetime."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np

from simulator.world.clock import DAY_MS, EPOCH_MS, HOUR_MS
from simulator.world.config import ItemsConfig
from simulator.world.draws import exponential, normal, uniform

__all__ = ["AGE_BUCKETS", "YOUNGEST_MS", "ItemPool", "LiveItems"]

AGE_BUCKETS = 8
AGE_EDGES_HOURS = np.array([1, 3, 6, 12, 24, 72, 168])
YOUNGEST_MS = int(AGE_EDGES_HOURS[0]) * HOUR_MS  # ages below it are in the first bucket
# Lifetimes beyond this many means are cut: of 22,000 items one would live longer.
LONGEST_LIFE = 10.0


@dataclass(frozen=True, slots=True)
class LiveItems:
    """The items alive at a time, by id. All arrays are [n], `vectors` [n, d]."""

    ids: np.ndarray  # int64
    vectors: np.ndarray  # float32
    topic: np.ndarray  # int32
    quality: np.ndarray  # float64, logits
    log_popularity: np.ndarray
    log_popularity_drifted: np.ndarray
    birth_ms: np.ndarray  # int64

    def freshness(self, now_ms: int, config: ItemsConfig) -> np.ndarray:
        """What youth adds, in logits: halves every freshness_half_life_hours."""
        age_hours = (now_ms - self.birth_ms) / 3_600_000
        decayed: np.ndarray = config.freshness * 0.5 ** (age_hours / config.freshness_half_life_hours)
        return decayed

    def age_bucket(self, now_ms: int) -> np.ndarray:
        """int32 [n] in [0, AGE_BUCKETS): up to 1, 3, 6, 12, 24, 72, 168 hours, older."""
        age_hours = (now_ms - self.birth_ms) / 3_600_000
        return np.searchsorted(AGE_EDGES_HOURS, age_hours, side="right").astype(np.int32)


class ItemPool:
    """Items as a pure function of their number. Memory holds those alive alone.

    Item i is born (i + u) / births_per_day days after the first; numbers begin far enough before day 0 that the pool
    is in balance from the start.
    """

    def __init__(self, config: ItemsConfig, dimensions: int, seed: int) -> None:
        self._config = config
        self._seed = seed
        self._dimensions = dimensions
        self._births_per_ms = config.live / config.lifetime_days / DAY_MS
        self._longest_ms = LONGEST_LIFE * config.lifetime_days * DAY_MS
        self.topic_vectors = normal(seed, "topic", np.arange(config.topics)[:, None], np.arange(dimensions)[None, :])
        self._cache: LiveItems | None = None

    def at(self, now_ms: int) -> LiveItems:
        """The items alive at a time."""
        numbers = self._numbers(now_ms, now_ms)
        birth_ms = self.birth_ms(numbers)
        alive = numbers[(birth_ms <= now_ms) & (self._death_ms(numbers, birth_ms) > now_ms)]
        self._cache = self._make(alive) if self._cache is None else self._moved_on(self._cache, alive)
        return self._cache

    def alive_at_any(self, times_ms: np.ndarray) -> int:
        """How many items are alive at one of these times at least, int64 [n] in their order."""
        numbers = self._numbers(int(times_ms[0]), int(times_ms[-1]))
        birth_ms = self.birth_ms(numbers)
        first = np.searchsorted(times_ms, birth_ms)  # the first time at which each is born
        born = first < len(times_ms)
        death_ms = self._death_ms(numbers, birth_ms)[born]
        return int(np.count_nonzero(death_ms > times_ms[first[born]]))

    def topic(self, numbers: np.ndarray) -> np.ndarray:
        """int32 [n] in [0, topics)."""
        return np.floor(uniform(self._seed, "item/topic", numbers) * self._config.topics).astype(np.int32)

    def birth_ms(self, numbers: np.ndarray) -> np.ndarray:
        """int64 [n]; rises with the number."""
        spread = numbers + uniform(self._seed, "item/birth", numbers)
        return (EPOCH_MS - self._longest_ms + spread / self._births_per_ms).astype(np.int64)

    def first_born_after(self, time_ms: int) -> int:
        """The number of the first item that is born after a time."""
        about = int((time_ms - EPOCH_MS + self._longest_ms) * self._births_per_ms)
        near = np.arange(about - 2, about + 3)  # births are as many a day as their numbers say, give or take one
        return about - 2 + int(np.count_nonzero(self.birth_ms(near) <= time_ms))

    def _numbers(self, first_ms: int, last_ms: int) -> np.ndarray:
        """Numbers of items that may live at some time from the first to the last: all others do not."""
        oldest_ms, youngest_ms = first_ms - EPOCH_MS, last_ms - EPOCH_MS + self._longest_ms
        first = max(0, int(oldest_ms * self._births_per_ms) - 1)
        return np.arange(first, max(first, int(youngest_ms * self._births_per_ms)) + 1)

    def _death_ms(self, numbers: np.ndarray, birth_ms: np.ndarray) -> np.ndarray:
        lifetime = np.minimum(exponential(self._seed, "item/lifetime", numbers), LONGEST_LIFE)
        deaths: np.ndarray = birth_ms + lifetime * self._config.lifetime_days * DAY_MS
        return deaths

    def _moved_on(self, items: LiveItems, alive: np.ndarray) -> LiveItems:
        """The living, given those of another time: most are the same."""
        known = np.isin(alive, items.ids, assume_unique=True)
        kept = np.isin(items.ids, alive, assume_unique=True)
        if known.all() and kept.all():
            return items
        fresh = self._make(alive[~known])
        order = np.argsort(np.concatenate((items.ids[kept], fresh.ids)))
        columns = (f.name for f in fields(LiveItems))
        return LiveItems(
            *(np.concatenate((getattr(items, name)[kept], getattr(fresh, name)))[order] for name in columns)
        )

    def _make(self, numbers: np.ndarray) -> LiveItems:
        config, seed = self._config, self._seed
        topic = self.topic(numbers)
        own = normal(seed, "item/vector", numbers[:, None], np.arange(self._dimensions)[None, :])
        vectors = (self.topic_vectors[topic] + config.topic_spread * own) / math.sqrt(1 + config.topic_spread**2)
        return LiveItems(
            ids=numbers,
            vectors=vectors.astype(np.float32),
            topic=topic,
            quality=config.quality_sigma * normal(seed, "item/quality", numbers),
            log_popularity=config.popularity_sigma * normal(seed, "item/popularity", numbers),
            log_popularity_drifted=config.popularity_sigma * normal(seed, "item/popularity-drifted", numbers),
            birth_ms=self.birth_ms(numbers),
        )
