"""Items: born at a steady rate, each with a topic, a quality, a popularity and a lifetime."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np

from simulator.world.clock import DAY_MS, EPOCH_MS, HOUR_MS
from simulator.world.config import ItemsConfig
from simulator.world.draws import exponential, normal, uniform

__all__ = ["AGE_BUCKETS", "AGE_EDGES_MS", "YOUNGEST_MS", "ItemPool", "Items", "age_bucket", "held_ticks"]

AGE_BUCKETS = 8
AGE_EDGES_MS = HOUR_MS * np.array([1, 3, 6, 12, 24, 72, 168])
YOUNGEST_MS = int(AGE_EDGES_MS[0])  # ages below it are in the first bucket
# Lifetimes beyond this many means are cut: of 22,000 items one would live longer.
LONGEST_LIFE = 10.0


@dataclass(frozen=True, slots=True)
class Items:
    """Items by id, and so by birth. All arrays are [n], `vectors` [n, d]."""

    ids: np.ndarray  # int64
    vectors: np.ndarray  # float32
    topic: np.ndarray  # int32
    quality: np.ndarray  # float64, logits
    log_popularity: np.ndarray
    log_popularity_drifted: np.ndarray
    birth_ms: np.ndarray  # int64
    death_ms: np.ndarray  # float64; an item is alive from its birth to before its death

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: np.ndarray) -> Items:
        """Some of them."""
        return Items(*(getattr(self, field.name)[rows] for field in fields(Items)))

    def alive(self, now_ms: int) -> np.ndarray:
        """bool [n]."""
        return np.asarray((self.birth_ms <= now_ms) & (self.death_ms > now_ms))

    def freshness(self, now_ms: int, config: ItemsConfig) -> np.ndarray:
        """What youth adds, in logits: halves every freshness_half_life_hours."""
        age_hours = (now_ms - self.birth_ms) / HOUR_MS
        decayed: np.ndarray = config.freshness * 0.5 ** (age_hours / config.freshness_half_life_hours)
        return decayed


def age_bucket(birth_ms: np.ndarray, now_ms: int | np.ndarray) -> np.ndarray:
    """int32 [n] in [0, AGE_BUCKETS): up to 1, 3, 6, 12, 24, 72, 168 hours, older. now_ms: a time, or one for each."""
    return np.searchsorted(AGE_EDGES_MS, now_ms - birth_ms, side="right").astype(np.int32)


def held_ticks(config: ItemsConfig, tick_ms: int) -> int:
    """The items of so many ticks are held at once: few more than are alive at a time."""
    return max(1, int(min(DAY_MS, config.lifetime_days * DAY_MS / 4) // tick_ms))


class ItemPool:
    """Items as a pure function of their number. Memory holds those of one span of time alone.

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
        self._span: tuple[int, int, Items] | None = None

    def between(self, first_ms: int, last_ms: int) -> Items:
        """The items alive at some time from the first to the last. The same object for the same span as before."""
        known = self._span
        if known is not None and known[:2] == (first_ms, last_ms):
            return known[2]
        if known is not None and known[0] <= first_ms <= known[1] + DAY_MS and known[1] <= last_ms:
            before = known[2]
            kept = np.flatnonzero(before.death_ms > first_ms)
            # Numbers rise with birth: those that are born since are those that follow.
            fresh = self._alive(np.arange(self.first_born_after(known[1]), self.first_born_after(last_ms)), first_ms)
            items = before.take(kept) if len(kept) < len(before) else before
            if len(fresh):
                columns = (field.name for field in fields(Items))
                items = Items(*(np.concatenate((getattr(items, name), getattr(fresh, name))) for name in columns))
        else:
            numbers = self._numbers(first_ms, last_ms)
            items = self._alive(numbers[self.birth_ms(numbers) <= last_ms], first_ms)
        self._span = first_ms, last_ms, items
        return items

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

    def _alive(self, numbers: np.ndarray, from_ms: int) -> Items:
        """Those of these items that are not dead by a time."""
        birth_ms = self.birth_ms(numbers)
        death_ms = self._death_ms(numbers, birth_ms)
        alive = death_ms > from_ms
        numbers = numbers[alive]
        config, seed = self._config, self._seed
        topic = self.topic(numbers)
        own = normal(seed, "item/vector", numbers[:, None], np.arange(self._dimensions)[None, :])
        vectors = (self.topic_vectors[topic] + config.topic_spread * own) / math.sqrt(1 + config.topic_spread**2)
        return Items(
            ids=numbers,
            vectors=vectors.astype(np.float32),
            topic=topic,
            quality=config.quality_sigma * normal(seed, "item/quality", numbers),
            log_popularity=config.popularity_sigma * normal(seed, "item/popularity", numbers),
            log_popularity_drifted=config.popularity_sigma * normal(seed, "item/popularity-drifted", numbers),
            birth_ms=birth_ms[alive],
            death_ms=death_ms[alive],
        )
