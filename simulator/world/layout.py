"""A layout of the items of a span of time: topic by topic, shuffled within, in blocks; and what of it is alive as time goes on."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np

from simulator.world.items import Items

__all__ = ["BlockSums", "Layout"]


class BlockSums(NamedTuple):
    """popularity: float32 [items], in the layout's order, negative of those that are not alive. top: float32 [blocks], the most
    popular living item's. before: float64 [blocks + 1, 2], how many living items lie before each block, and their popularity."""

    popularity: np.ndarray
    top: np.ndarray
    before: np.ndarray


class Layout:
    """rows: int32 [items], in the layout's order. of_topic: int64 [topics + 1], the first block of each. starts: int64
    [blocks + 1], the place of each block's first item.

    draws: uniform in [0, 1), by which items are shuffled. From one time to the next only the blocks are summed anew in which items
    were born or died. Every sum is made in the layout's order, so it does not depend on which times were asked for before.
    """

    def __init__(self, items: Items, topics: int, draws: np.ndarray) -> None:
        from simulator.world import retrieval_kernels as kernels

        self._kernels = kernels
        self._items = items
        # Two sorts by 16 bits, which need no comparisons. What a draw leaves equal stays in the order of birth.
        shuffled = np.argsort((draws * (1 << 16)).astype(np.uint16), kind="stable")
        self.rows = shuffled[np.argsort(items.topic[shuffled].astype(np.uint16), kind="stable")].astype(np.int32)
        sizes = np.bincount(items.topic, minlength=topics)
        blocks = -(-sizes // kernels.BLOCK)
        self.of_topic = np.concatenate(([0], np.cumsum(blocks)))
        within = np.arange(self.of_topic[-1]) - np.repeat(self.of_topic[:-1], blocks)
        places = np.repeat(np.cumsum(sizes) - sizes, blocks) + kernels.BLOCK * within
        self.starts = np.concatenate((places, [len(items)]))
        n = len(places)
        self._by_block = np.empty((n, 2))
        self._sums = BlockSums(
            np.empty(len(items), dtype=np.float32), np.empty(n, dtype=np.float32), np.empty((n + 1, 2))
        )
        self._now_ms: int | None = None
        self._drift: float | None = None

    def at(self, now_ms: int, drift: float) -> BlockSums:
        """The sums at a time; overwritten by the next call. drift: how far popularity has moved to what it drifts towards."""
        items, sums, kernels = self._items, self._sums, self._kernels
        if self._now_ms is None or now_ms < self._now_ms or drift != self._drift:
            log_popularity = (1 - drift) * items.log_popularity + drift * items.log_popularity_drifted
            popularity = np.exp(log_popularity)
            sums.popularity[:] = np.where(items.alive(now_ms), popularity, -popularity)[self.rows]
            changed = np.arange(len(sums.top))
        else:
            changed = self._move_on(self._now_ms, now_ms)
        kernels.sum_blocks(changed, self.starts, sums.popularity, self._by_block, sums.top)
        kernels.add_up(self._by_block, sums.before)
        self._now_ms, self._drift = now_ms, drift
        return sums

    def _move_on(self, before_ms: int, now_ms: int) -> np.ndarray:
        """Note who was born and who died between two times; the blocks in which they lie."""
        born = slice(*np.searchsorted(self._items.birth_ms, (before_ms, now_ms), side="right"))
        by_death, death_ms = self._deaths
        dead = by_death[slice(*np.searchsorted(death_ms, (before_ms, now_ms), side="right"))]
        popularity, changed = self._sums.popularity, np.zeros(len(self.starts) - 1, dtype=bool)
        # In this order: some are born and die between the two.
        for places, sign in ((self._places[born], 1), (self._places[dead], -1)):
            popularity[places] = sign * np.abs(popularity[places])
            changed[np.searchsorted(self.starts, places, side="right") - 1] = True
        return np.flatnonzero(changed)

    @cached_property
    def _places(self) -> np.ndarray:
        """Of each item in the layout."""
        places = np.empty_like(self.rows)
        places[self.rows] = np.arange(len(places))
        return places

    @cached_property
    def _deaths(self) -> tuple[np.ndarray, np.ndarray]:
        """The items in the order of their deaths, and when these are."""
        order = np.argsort(self._items.death_ms)
        return order, self._items.death_ms[order]
