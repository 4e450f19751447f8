"""Candidate retrieval: K distinct items a request, by the segment's liking for topics, by popularity, and at random.

It sees observed attributes and the items' topics and popularity, never tastes, clicks or arms.
"""

from __future__ import annotations

import numpy as np

from simulator.world.config import CandidatesConfig
from simulator.world.draws import uniform

__all__ = ["Retrieval", "inclusion_shares"]

SHARPNESS = 1.0  # of a segment's liking for topics: its logits are the mean taste × topic


def inclusion_shares(weights: np.ndarray, k: int) -> np.ndarray:
    """Shares [segments, items] proportional to the weights, with none above 1 / k, summing to 1 in each row.

    Systematic sampling of k evenly spaced points then never draws an item twice.
    """
    shares = weights / weights.sum(1, keepdims=True)
    limit = 1.0 / k
    for _ in range(64):
        over = shares > limit * (1 + 1e-12)
        if not over.any():
            break
        capped = np.where(shares >= limit, limit, 0.0)
        free = np.where(shares < limit, shares, 0.0)
        room = 1.0 - capped.sum(1, keepdims=True)
        shares = capped + free * room / np.maximum(free.sum(1, keepdims=True), 1e-300)
    return np.minimum(shares, limit)


class Retrieval:
    """Draws candidates by systematic sampling: one random start a request, then k evenly spaced points on the items'
    cumulative shares, which are laid out in an order that is shuffled anew each tick."""

    def __init__(self, config: CandidatesConfig, affinity: np.ndarray, seed: int) -> None:
        """affinity: float64 [segments, topics], each segment's mean liking."""
        self._config = config
        self._seed = seed
        liking = np.exp(SHARPNESS * (affinity - affinity.max(1, keepdims=True)))
        self._liking = liking

    def at(
        self, tick: int, item_ids: np.ndarray, topic: np.ndarray, log_popularity: np.ndarray, segment: np.ndarray,
        request_id: np.ndarray,
    ) -> np.ndarray:  # fmt: skip
        """int32 [requests, k], rows of the items. segment: of each request."""
        config = self._config
        n, k = len(item_ids), config.k
        order = np.argsort(uniform(self._seed, "retrieval/order", item_ids, tick))
        popularity = np.exp(log_popularity - log_popularity.max())
        by_topic = self._liking[:, topic]
        explore = 1.0 - config.topic_share - config.popularity_share
        weights = config.topic_share * by_topic / by_topic.sum(1, keepdims=True)
        weights += config.popularity_share * (popularity / popularity.sum())[None, :] + max(explore, 0.0) / n
        # A little of everything, so that capped shares have somewhere to go.
        shares = inclusion_shares(weights + 1e-9 / n, k)[:, order]
        ends = np.cumsum(shares, axis=1)
        ends /= ends[:, -1:]
        # All segments on one line, so that one search serves all requests.
        line = (ends + np.arange(len(ends))[:, None]).ravel()
        start = uniform(self._seed, "retrieval/start", request_id)
        points = (start[:, None] + np.arange(k)[None, :]) / k
        spots = np.searchsorted(line, (points + segment[:, None]).ravel(), side="right")
        rows = np.minimum(spots.reshape(points.shape) - segment[:, None] * n, n - 1)
        # Rounding at the caps may hit one item twice in a row: move on to the next one.
        for column in range(1, k):
            same = rows[:, column] <= rows[:, column - 1]
            if same.any():
                rows[same, column] = rows[same, column - 1] + 1
        overflow = rows[:, -1] >= n
        if overflow.any():
            rows[overflow] -= rows[overflow, -1:] - n + 1
        return order[rows].astype(np.int32)
