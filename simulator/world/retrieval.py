"""Candidate retrieval: K distinct items a request, by the segment's liking for topics, by popularity, and at random.

It sees observed attributes and the items' topics and popularity, never tastes, clicks or arms.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from simulator.world.config import CandidatesConfig
from simulator.world.draws import uniform
from simulator.world.items import AGE_BUCKETS, AGE_EDGES_MS, Items
from simulator.world.layout import BlockSums, Layout

if TYPE_CHECKING:
    from simulator.world.retrieval_kernels import Shares

__all__ = ["Retrieval"]

SHARPNESS = 1.0  # of a segment's liking for topics: its logits are the mean taste × topic
A_LITTLE = 1e-9  # of everything, so that capped shares have somewhere to go
SHUFFLED_A_TICK = 4000  # items, on average: twice as many are shuffled half as often
DRIFT_STEPS = 256  # in which popularity follows its drift: each costs a pass over all items


class Retrieval:
    """Draws candidates by systematic sampling: one random start a request, then k evenly spaced points on the line of its
    segment's shares, on which topics lie in an order that is shuffled anew each tick.

    Shares are those of the mixture that the settings describe, none above 1 / k: what is over goes to the others in proportion. So
    no item is drawn twice, and each is drawn as often as its share says, k times it. Within a topic the items are shuffled
    anew each tick too, or, where there are more than SHUFFLED_A_TICK, as much less often. No tick looks at all items (`layout`).

    affinity: float64 [segments, topics], each segment's mean liking. live: how many items are alive at a time, on average.
    """

    def __init__(self, config: CandidatesConfig, affinity: np.ndarray, live: int, seed: int) -> None:
        self._config = config
        self._seed = seed
        self._liking = np.exp(SHARPNESS * (affinity - affinity.max(1, keepdims=True)))
        self._ticks_a_shuffle = -(-live // SHUFFLED_A_TICK)
        self._laid_out: tuple[int, Items, Layout] | None = None
        self._numbers = np.zeros(0, dtype=np.int32)

    def at(
        self, tick: int, now_ms: int, items: Items, drift: float, segment: np.ndarray, request_id: np.ndarray
    ) -> np.ndarray:
        """int32 [requests, k], rows of the items. drift: of popularity, from 0 to 1; segment: of each request.

        Raises ValueError where fewer than k items are alive.
        """
        from simulator.world import retrieval_kernels as kernels

        k = self._config.k
        layout = self._layout(tick // self._ticks_a_shuffle, items)
        sums = layout.at(now_ms, round(drift * DRIFT_STEPS) / DRIFT_STEPS)
        if sums.before[-1, 0] < k:
            raise ValueError(
                f"world.items.live: only {sums.before[-1, 0]:.0f} items are alive in tick {tick}, fewer than "
                f"candidates.k ({k}); raise items.live"
            )
        level, slope, mass = self._levels(layout, sums)
        shares = kernels.Shares(layout.of_topic, layout.starts, sums.popularity, sums.before, level, slope, k / mass)
        heads, first = self._heads(shares, mass, sums.top, k)
        segments, topics = level.shape
        most = topics + 2 * len(heads)
        line = kernels.Line(
            np.empty(segments, dtype=np.int64), np.empty((segments, most, 5), dtype=np.int64),
            np.empty((segments, most)), np.empty((segments, most)), np.empty((segments, most)),
        )  # fmt: skip
        order = np.argsort(uniform(self._seed, "retrieval/topics", np.arange(topics), tick))
        kernels.lay_line(shares, order, heads, first, line)
        found = np.empty((len(request_id), k), dtype=np.int32)
        start = uniform(self._seed, "retrieval/start", request_id)
        kernels.draw(shares, line, segment, start, layout.rows, found)
        return found

    def numbered(
        self, items: Items, start_ms: np.ndarray, rows: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The different ones among rows of the items, int32 [N]; from when on they are in the bucket of age that they are in, int64
        [N]; and for each of rows [R, K] which of them it is. start_ms: when each request's tick begins, int64 [R], rising."""
        from simulator.world import retrieval_kernels as kernels

        if len(self._numbers) < len(items):
            self._numbers = np.full(len(items), -1, dtype=np.int32)
        most = min(rows.size, AGE_BUCKETS * len(items))
        used, since_ms = np.empty(most, dtype=np.int32), np.empty(most, dtype=np.int64)
        numbered = np.empty(rows.shape, dtype=np.int32)
        n = kernels.number(rows, start_ms, items.birth_ms, AGE_EDGES_MS, self._numbers, used, since_ms, numbered)
        return used[:n], since_ms[:n], numbered

    def _layout(self, shuffle: int, items: Items) -> Layout:
        known = self._laid_out
        if known is None or known[0] != shuffle or known[1] is not items:
            draws = uniform(self._seed, "retrieval/order", shuffle, items.ids)
            self._laid_out = known = shuffle, items, Layout(items, self._liking.shape[1], draws)
        return known[2]

    def _levels(self, layout: Layout, sums: BlockSums) -> tuple[np.ndarray, float, np.ndarray]:
        """Of the weights level + slope · popularity, before any cap: level [segments, topics], slope, and their sum [segments]."""
        config = self._config
        items = np.diff(sums.before[layout.of_topic, 0])
        n, popularity = sums.before[-1]
        explore = max(1.0 - config.topic_share - config.popularity_share, 0.0) + A_LITTLE
        by_topic = config.topic_share / (self._liking @ items)
        level = self._liking * by_topic[:, None] + explore / n
        slope = config.popularity_share / popularity
        return level, slope, level @ items + slope * popularity

    @staticmethod
    def _heads(shares: Shares, mass: np.ndarray, top: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The items that are at their cap for some segment, by topic, and where each topic's begin; raises the scales."""
        from simulator.world import retrieval_kernels as kernels

        topics = shares.level.shape[1]
        heads, first = np.empty(0, dtype=np.int64), np.zeros(topics + 1, dtype=np.int64)
        while True:
            # An item is at its cap where scale · (level + slope · popularity) is 1.
            short = (kernels.CAPPED / shares.scale[:, None] - shares.level).min(0)
            threshold = short / shares.slope if shares.slope else np.where(short > 0, np.inf, -np.inf)
            n = kernels.find_heads(shares, threshold, top, heads, first)
            if n > len(heads):
                heads = np.empty(n, dtype=np.int64)
                kernels.find_heads(shares, threshold, top, heads, first)
            before = shares.scale.copy()
            kernels.raise_scales(shares, mass, k, heads, first)
            if (shares.scale == before).all():
                return heads[:n], first
