"""Exposures whose window is open, to be found by id, and the clicks that look for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from reloop_stream.events import Batch, ExposureBatch
from reloop_stream.runtime.compiled import compiled

__all__ = ["Chunk", "Hits", "LoggedClicks"]


@dataclass(frozen=True, slots=True)
class LoggedClicks(Batch):
    """Clicks, and where in the log each one's record lies. Every array is [n]."""

    exposure_id: np.ndarray
    event_time_ms: np.ndarray
    click_time_ms: np.ndarray
    partition: np.ndarray  # int32, of the clicks' topic
    offset: np.ndarray  # int64


class Hits(NamedTuple):
    """Which of some clicks have which exposures of a chunk: [h] each."""

    click: np.ndarray
    row: np.ndarray
    delay_ms: np.ndarray  # from the exposure to the click


@compiled
def _find_rows(times, ids, wanted_times, wanted_ids, rows):  # type: ignore[no-untyped-def]
    """Where each pair lies among pairs in their order; -1 where it does not."""
    for i in range(len(rows)):
        time, number, low, high = wanted_times[i], wanted_ids[i], 0, len(ids)
        while low < high:
            middle = (low + high) // 2
            if times[middle] < time or (times[middle] == time and ids[middle] < number):
                low = middle + 1
            else:
                high = middle
        rows[i] = low if low < len(ids) and times[low] == time and ids[low] == number else -1


# Ids that are compared with every row in less time than the rows are sorted by theirs. Clicks that do not say rightly when their
# exposure was, two or three a tick, are all that is looked for.
FEW = 16


@dataclass(slots=True)
class Chunk:
    """Pending exposures sorted by (event time, id), with an index for look-ups by id."""

    batch: ExposureBatch
    clicked: np.ndarray  # bool [n]
    _by_id: np.ndarray | None = field(default=None, init=False)

    @property
    def by_id(self) -> np.ndarray:
        """Rows in the order of their ids, those of one id in order of time."""
        if self._by_id is None:
            self._by_id = np.argsort(self.batch.exposure_id, kind="stable")
        return self._by_id

    @property
    def first_ms(self) -> int:
        return int(self.batch.event_time_ms[0])

    @property
    def last_ms(self) -> int:
        return int(self.batch.event_time_ms[-1])

    def _order_of(self, exposure_id: np.ndarray) -> np.ndarray:
        """`by_id`, of those rows at least that bear one of these ids."""
        if self._by_id is not None or len(exposure_id) > FEW:
            return self.by_id
        ids = self.batch.exposure_id
        rows = np.flatnonzero(np.isin(ids, exposure_id))
        return rows[np.argsort(ids[rows], kind="stable")]

    def find(self, exposure_id: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(which of the ids, row) of those that are here; again for ids that are here a second time, and so on."""
        ids = self.batch.exposure_id
        which = np.arange(len(exposure_id))
        order = self._order_of(exposure_id)
        spot = np.searchsorted(ids[order], exposure_id)
        while True:
            inside = spot < len(order)
            which, spot = which[inside], spot[inside]
            rows = order[spot]
            same = np.asarray(ids[rows] == exposure_id[which])
            which, spot = which[same], spot[same]
            if not len(which):
                return
            yield which, rows[same]
            spot = spot + 1

    def named(self, clicks: LoggedClicks, of: np.ndarray) -> Hits:
        """Of the exposures whose ids the clicks `of` (indices) bear, those of the time that the click names too."""
        ids, times = clicks.exposure_id[of], clicks.event_time_ms[of]
        if ids.dtype != np.int64 or self.batch.exposure_id.dtype != np.int64:
            hits = self.hits(clicks, of)
            exact = self.batch.event_time_ms[hits.row] == clicks.event_time_ms[hits.click]
            return Hits(*(column[exact] for column in hits))
        rows = np.empty(len(of), dtype=np.int64)
        _find_rows(self.batch.event_time_ms, self.batch.exposure_id, times, ids, rows)
        is_here = rows >= 0
        click, row = of[is_here], rows[is_here]
        return Hits(click, row, clicks.click_time_ms[click] - times[is_here])

    def holds(self, exposure_id: np.ndarray, event_time_ms: np.ndarray) -> np.ndarray:
        """Which exposures (id and time) are here, bool [n]."""
        found = np.zeros(len(exposure_id), dtype=bool)
        for which, rows in self.find(exposure_id):
            found[which[self.batch.event_time_ms[rows] == event_time_ms[which]]] = True
        return found

    def hits(self, clicks: LoggedClicks, of: np.ndarray) -> Hits:
        """The exposures whose ids the clicks `of` (indices) bear."""
        parts = [
            Hits(of[which], rows, clicks.click_time_ms[of[which]] - self.batch.event_time_ms[rows])
            for which, rows in self.find(clicks.exposure_id[of])
        ]
        if len(parts) == 1:
            return parts[0]
        none = np.zeros(0, dtype=np.int64)
        return Hits(*map(np.concatenate, zip(*parts, strict=True))) if parts else Hits(none, none, none)
