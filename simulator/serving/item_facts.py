"""What is known of the items of a simulated feed whatever a model sees of them: topics, who is new, how many are live."""

from __future__ import annotations

import numpy as np

from simulator.world import DAY_MS, EPOCH_MS
from simulator.world.items import YOUNGEST_MS, ItemPool

__all__ = ["ItemFacts"]

# Items among which to look topics up is less than to draw them: of more, those that are shown are the fewer.
MOST_KNOWN = 1 << 15


class ItemFacts:
    """Of a world's items. topics: how many there are. tick_ms: length of a tick of the world."""

    def __init__(self, items: ItemPool, topics: int, tick_ms: int) -> None:
        self._items = items
        self._tick_ms = tick_ms
        self.topics = topics
        self._known_from = 0
        self._known = np.zeros(0, dtype=np.int32)  # the topics of the items from that number on
        self._first_new: dict[int, int] = {}  # by tick
        self._live: dict[int, int] = {}  # by day

    def topic(self, item_id: np.ndarray) -> np.ndarray:
        """int32 [n] in [0, topics)."""
        if not len(item_id):
            return np.zeros(0, dtype=np.int32)
        first, last = int(item_id.min()), int(item_id.max())
        if last - first > MOST_KNOWN:
            return self._items.topic(item_id)
        if first < self._known_from or last >= self._known_from + len(self._known):
            self._known_from = first
            # As many again, so that those born next are known too: a lookup is less than a draw.
            self._known = self._items.topic(np.arange(first, 2 * last - first + 2))
        return self._known[item_id - self._known_from]

    def is_new(self, item_id: np.ndarray, time_ms: np.ndarray) -> np.ndarray:
        """Whether an item shown at a time is in the youngest age bucket, bool [n], as its feature `age_bucket` says: by
        the age at the beginning of the tick."""
        if not len(item_id):
            return np.zeros(0, dtype=bool)
        tick = (time_ms - EPOCH_MS) // self._tick_ms
        first, last = int(tick.min()), int(tick.max())
        if first == last:
            return np.asarray(item_id >= self._first_new_at(first))
        of_tick = np.array([self._first_new_at(one) for one in range(first, last + 1)])
        return np.asarray(item_id >= of_tick[tick - first])

    def _first_new_at(self, tick: int) -> int:
        """The oldest item in the youngest bucket at the beginning of a tick: numbers rise with birth."""
        if tick not in self._first_new:
            self._first_new[tick] = self._items.first_born_after(EPOCH_MS + tick * self._tick_ms - YOUNGEST_MS)
        return self._first_new[tick]

    def live(self, day: int) -> int:
        """How many items could be shown on a day: alive at the beginning of one of its ticks."""
        if day not in self._live:
            first_ms = EPOCH_MS + day * DAY_MS
            self._live[day] = self._items.alive_at_any(np.arange(first_ms, first_ms + DAY_MS, self._tick_ms))
        return self._live[day]
