"""What an open day of an arm showed of the items of a simulated feed: by item, and by user and topic."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from reloop_stream.events import ExposureBatch
from simulator.run_folder.key_counts import Counted, KeyCounts
from simulator.serving.item_facts import ItemFacts

__all__ = ["ItemSums"]

KINDS = ("items", "new", "topics")


class ItemSums:
    """Counts of exposures and clicks: of each item, of each while it was new, and of each user with each topic."""

    def __init__(self, facts: ItemFacts) -> None:
        self._facts = facts
        self._counts = {kind: KeyCounts() for kind in KINDS}

    def add(self, exposures: ExposureBatch, rows: slice | np.ndarray, label: np.ndarray) -> None:
        """Some rows of a batch, and their labels."""
        item_id, user_id = exposures.item_id[rows], exposures.user_id[rows]
        self._counts["items"].add(item_id, label)
        self._counts["topics"].add(user_id * self._facts.topics + self._facts.topic(item_id), label)
        new = self._facts.is_new(item_id, exposures.event_time_ms[rows])
        self._counts["new"].add(item_id[new], label[new])

    def by_item(self, day: int) -> dict[str, np.ndarray]:
        """Columns of `items.parquet`, [items shown]. day: which one it is."""
        shown, new = self._counts["items"].counted(), self._counts["new"].counted()
        new_exposures = np.zeros(len(shown.key), dtype=np.int64)
        new_exposures[np.searchsorted(shown.key, new.key)] = new.exposures
        return {
            "item_id": shown.key,
            "exposures": shown.exposures,
            "clicks": shown.clicks,
            "new_exposures": new_exposures,
            "live": np.full(len(shown.key), self._facts.live(day) if len(shown.key) else 0, dtype=np.int64),
        }

    def by_topic(self) -> dict[str, np.ndarray]:
        """Columns of `topics.parquet`, a row a user and topic: [users × topics of theirs]."""
        key, exposures, clicks = self._counts["topics"].counted()
        user_id, topic = np.divmod(key, self._facts.topics)
        return {"user_id": user_id, "topic": topic.astype(np.int32), "exposures": exposures, "clicks": clicks}

    def state(self) -> dict[str, np.ndarray]:
        return {
            f"{kind}.{name}": column
            for kind, counts in self._counts.items()
            for name, column in counts.counted()._asdict().items()
        }

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        self._counts = {
            kind: KeyCounts(Counted(*(state[f"{kind}.{name}"] for name in Counted._fields))) for kind in KINDS
        }
