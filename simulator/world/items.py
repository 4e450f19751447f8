"""Items: born at a steady rate, each with a topic, a quality, a popularity and a lifetime."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np

from simulator.world.clock import DAY_MS, EPOCH_MS
from simulator.world.config import ItemsConfig
from simulator.world.draws import exponential, normal, uniform

__all__ = ["AGE_BUCKETS", "ItemPool", "LiveItems"]

AGE_BUCKETS = 8
AGE_EDGES_HOURS = np.array([1, 3, 6, 12, 24, 72, 168])
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
        since_ms = now_ms - EPOCH_MS + self._longest_ms
        first = max(0, int((since_ms - self._longest_ms) * self._births_per_ms) - 1)
        last = max(first, int(since_ms * self._births_per_ms))
        numbers = np.arange(first, last + 1)
        birth_ms = self._birth_ms(numbers)
        lifetime = np.minimum(exponential(self._seed, "item/lifetime", numbers), LONGEST_LIFE)
        death_ms = birth_ms + lifetime * self._config.lifetime_days * DAY_MS
        alive = numbers[(birth_ms <= now_ms) & (death_ms > now_ms)]
        self._cache = self._make(alive) if self._cache is None else self._moved_on(self._cache, alive)
        return self._cache

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

    def _birth_ms(self, numbers: np.ndarray) -> np.ndarray:
        spread = numbers + uniform(self._seed, "item/birth", numbers)
        return (EPOCH_MS - self._longest_ms + spread / self._births_per_ms).astype(np.int64)

    def _make(self, numbers: np.ndarray) -> LiveItems:
        config, seed = self._config, self._seed
        topic = np.floor(uniform(seed, "item/topic", numbers) * config.topics).astype(np.int32)
        own = normal(seed, "item/vector", numbers[:, None], np.arange(self._dimensions)[None, :])
        vectors = (self.topic_vectors[topic] + config.topic_spread * own) / math.sqrt(1 + config.topic_spread**2)
        return LiveItems(
            ids=numbers,
            vectors=vectors.astype(np.float32),
            topic=topic,
            quality=config.quality_sigma * normal(seed, "item/quality", numbers),
            log_popularity=config.popularity_sigma * normal(seed, "item/popularity", numbers),
            log_popularity_drifted=config.popularity_sigma * normal(seed, "item/popularity-drifted", numbers),
            birth_ms=self._birth_ms(numbers),
        )
