"""Ranking of logged slates: against scikit-learn, a loop, and slates by hand."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from simulator.replay.ranking import rank_slates, ranking_columns
from simulator.world.draws import uniform

TOP = (2, 5)
COLUMNS = ranking_columns(TOP)


def naive(score: list[float], click: list[int], tie: list[float]) -> dict[str, float]:
    """One slate, as one would write it down."""
    ranked = [clicked for _, _, clicked in sorted((-s, t, c) for s, t, c in zip(score, tie, click, strict=True))]
    found = {"requests": 1.0, "clicked": float(any(click)), "reciprocal_rank": 0.0}
    if any(click):
        found["reciprocal_rank"] = 1 / (1 + ranked.index(1))
    for k in TOP:
        best = sum(1 / math.log2(i + 2) for i in range(min(k, sum(click))))
        gained = sum(c / math.log2(i + 2) for i, c in enumerate(ranked[:k]))
        found |= {f"ndcg_at_{k}": gained / best if best else 0.0}
        found |= {f"shown_at_{k}": float(min(k, len(click))), f"clicks_at_{k}": float(sum(ranked[:k]))}
    return found


slates = st.lists(
    st.lists(st.tuples(st.sampled_from([0.1, 0.2, 0.5]), st.integers(0, 1)), min_size=1, max_size=9),
    min_size=1,
    max_size=8,
)


@settings(deadline=None, max_examples=60)
@given(slates, st.randoms(use_true_random=False))
def test_every_slate_s_sums_are_those_of_a_loop_wherever_its_rows_lie(
    drawn: list[list[tuple[float, int]]], rng: object
) -> None:
    rows = [(10 * i, score, click) for i, slate in enumerate(drawn) for score, click in slate]
    rng.shuffle(rows)  # type: ignore[attr-defined]
    request, score, click = (np.array(column) for column in zip(*rows, strict=True))
    tie = uniform(3, "test", np.arange(len(rows)))
    found = rank_slates(request, score, click, tie, TOP)
    assert found.request.tolist() == [10 * i for i in range(len(drawn))]
    assert (request[found.first] == found.request).all()
    for row, sums in zip(found.request, found.sums, strict=True):
        mine = request == row
        expected = naive(score[mine].tolist(), click[mine].tolist(), tie[mine].tolist())
        assert np.allclose(sums, [expected[name] for name in COLUMNS])


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 1), min_size=2, max_size=12).filter(any), st.integers(0, 1000))
def test_ndcg_is_scikit_learn_s(click: list[int], seed: int) -> None:
    n = len(click)
    score = np.random.default_rng(seed).permutation(n) / n
    found = rank_slates(np.zeros(n, np.int64), score, np.array(click), np.zeros(n), TOP)
    for k in TOP:
        assert np.isclose(found.sums[0, COLUMNS.index(f"ndcg_at_{k}")], ndcg_score([click], [score], k=k))


def test_equal_scores_are_ranked_by_the_draw_and_not_as_they_were_logged() -> None:
    n = 4000  # slates of four, of which the log's policy had the clicked item first
    request = np.repeat(np.arange(n), 4)
    click = np.tile([1, 0, 0, 0], n)
    tie = uniform(1, "ranking/tie", np.arange(4 * n))
    found = rank_slates(request, np.full(4 * n, 0.1), click, tie, TOP)
    assert abs(found.sums[:, COLUMNS.index("reciprocal_rank")].mean() - np.mean(1 / np.arange(1, 5))) < 0.02
    assert abs(found.sums[:, COLUMNS.index("clicks_at_2")].mean() - 0.5) < 0.03


def test_no_rows_are_no_slates() -> None:
    none = np.zeros(0)
    assert rank_slates(none, none, none, none, TOP).sums.shape == (0, len(COLUMNS))
