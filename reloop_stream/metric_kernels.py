"""The pass over rows behind `StreamMetrics`, compiled."""

from __future__ import annotations

import math

from reloop_stream.runtime.compiled import compiled

__all__ = ["add_rows"]


@compiled
def add_rows(pctr, label, weight, histogram, sums, bound, tiny):  # type: ignore[no-untyped-def]
    """Row after row, so that the sums do not depend on how the rows were cut into batches."""
    bins = len(histogram) // 2
    scale = bins / (2 * bound)
    for i in range(len(pctr)):
        p = pctr[i]
        if not 0 <= p <= 1:
            sums[4] += 1
            continue
        w = 1 if weight is None else weight[i]
        bounded = min(max(p, tiny), 1 - tiny)
        at = min(max(int((math.log(bounded / (1 - bounded)) + bound) * scale), 0), bins - 1)
        sums[0] += 1
        sums[2] += w * p
        sums[5] += w
        if label[i]:
            histogram[bins + at] += w
            sums[1] += 1
            sums[3] -= w * math.log(bounded)
            sums[6] += w
        else:
            histogram[at] += w
            sums[3] -= w * math.log(1 - bounded)
