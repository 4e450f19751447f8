"""How well scores rank the candidates of logged slates: clicks and shown items among the top k, reciprocal ranks, nDCG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

__all__ = ["RankedSlates", "rank_slates", "ranking_columns"]


class RankedSlates(NamedTuple):
    """request: different ids, [r]. first: a row of each, [r]. sums: float64 [r, columns], see `ranking_columns`."""

    request: np.ndarray
    first: np.ndarray
    sums: np.ndarray


def ranking_columns(top: Sequence[int]) -> list[str]:
    """What is summed of each slate.

    requests: 1. clicked: 1 where any candidate was clicked; the next are 0 elsewhere. reciprocal_rank: of the click that
    ranks best. ndcg_at_k: with gains of 0 and 1 (Järvelin and Kekäläinen 2002). And always shown_at_k: how many candidates
    are among the first k, fewer in a shorter slate; clicks_at_k: how many of those were clicked.

    >>> ranking_columns([5])
    ['requests', 'clicked', 'reciprocal_rank', 'ndcg_at_5', 'shown_at_5', 'clicks_at_5']
    """
    at_k = [f"{name}_at_{k}" for k in top for name in ("ndcg", "shown", "clicks")]
    return ["requests", "clicked", "reciprocal_rank", *at_k]


def rank_slates(
    request_id: np.ndarray, score: np.ndarray, click: np.ndarray, tie: np.ndarray, top: Sequence[int]
) -> RankedSlates:
    """Rank each slate's candidates by score, the highest first.

    All [n], the rows of a slate anywhere. tie: decides among equal scores, the lowest first; to be drawn, for the order in
    which candidates were logged is that of a policy, and would flatter a score that cannot tell them apart.
    """
    order = np.lexsort((tie, -score, request_id))
    ids = request_id[order]
    starts = np.flatnonzero(np.concatenate(([True], ids[1:] != ids[:-1]))) if len(ids) else np.zeros(0, dtype=np.int64)
    size = np.diff(np.append(starts, len(ids)))
    rank = 1 + np.arange(len(ids)) - np.repeat(starts, size)
    clicked = click[order] > 0
    if not len(starts):
        return RankedSlates(ids, order, np.zeros((0, len(ranking_columns(top)))))
    clicks = np.add.reduceat(clicked.astype(np.int64), starts)
    best = np.minimum.reduceat(np.where(clicked, rank, np.inf), starts)
    discount = 1.0 / np.log2(1.0 + np.arange(1, int(size.max()) + 1))
    ideal = np.concatenate(([0.0], np.cumsum(discount)))
    columns = [np.ones(len(starts)), clicks > 0, 1.0 / best]
    for k in top:
        among = clicked & (rank <= k)
        gained = np.add.reduceat(np.where(among, discount[rank - 1], 0.0), starts)
        most = ideal[np.minimum(clicks, k)]
        columns += [
            np.divide(gained, most, out=np.zeros(len(starts)), where=most > 0),
            np.minimum(size, k),
            np.add.reduceat(among.astype(np.int64), starts),
        ]
    return RankedSlates(ids[starts], order[starts], np.stack(columns, axis=1).astype(np.float64))
