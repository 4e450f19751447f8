"""What `World.logits` sums up, compiled: of each item of a slate, without arrays between the steps."""

from __future__ import annotations

import numpy as np

from reloop_stream.runtime.compiled import compiled

__all__ = ["add_liking"]


@compiled
def add_liking(  # type: ignore[no-untyped-def]
    tastes, scale, vectors, quality, birth_ms, topic, context, start_ms, freshness, half_life_ms, hour, rows, logits
):
    """Into logits, float64 [R, S]: taste × item, quality, what youth adds, and hour × topic. tastes, start_ms: of
    each request's user and tick; rows: of the items [R, S]."""
    for i in range(rows.shape[0]):
        taste, of_hour, now_ms = tastes[i], context[hour[i]], start_ms[i]
        for j in range(rows.shape[1]):
            row = rows[i, j]
            match = np.float32(0.0)
            for d in range(vectors.shape[1]):
                match += taste[d] * vectors[row, d]
            youth = freshness * np.exp2(-(now_ms - birth_ms[row]) / half_life_ms)
            logits[i, j] = scale * match + quality[row] + youth + of_hour[topic[row]]
