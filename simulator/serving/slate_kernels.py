"""The best candidates of each request, compiled: a slate is a few of many, for which sorting them all is too much."""

from __future__ import annotations

from reloop_stream.runtime.compiled import compiled

__all__ = ["find_best"]


@compiled
def find_best(scores, columns):  # type: ignore[no-untyped-def]
    """Into columns, int64 [n, slate]: the highest scores of each row of [n, k], in their order; ties go to the earlier candidate."""
    n, k = scores.shape
    slate = columns.shape[1]
    for i in range(n):
        of_row, best = scores[i], columns[i]
        filled = 0
        for j in range(k):
            score = of_row[j]
            if filled == slate and not score > of_row[best[slate - 1]]:
                continue
            at = filled if filled < slate else slate - 1
            while at > 0 and score > of_row[best[at - 1]]:
                best[at] = best[at - 1]
                at -= 1
            best[at] = j
            filled = min(filled + 1, slate)
