"""Progressive metrics equal scikit-learn's, and merging equals adding."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss, roc_auc_score

from reloop_stream.errors import EventError
from reloop_stream.metrics import BINS, LOGIT_BOUND, TINY, StreamMetrics


def drawn(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    logit = rng.normal(-2.5, 1, n)
    p = 1 / (1 + np.exp(-logit))
    return p, (rng.random(n) < p).astype(np.uint8)


@pytest.mark.parametrize("seed", range(3))
def test_auc_and_log_loss_equal_those_of_scikit_learn(seed: int) -> None:
    p, y = drawn(20_000, seed)
    found = StreamMetrics()
    for part in np.array_split(np.arange(len(p)), 7):
        found.add(p[part], y[part])
    assert found.auc == pytest.approx(roc_auc_score(y, p), abs=1e-4)
    assert found.logloss == pytest.approx(log_loss(y, p), rel=1e-12)
    assert found.calibration == pytest.approx(p.sum() / y.sum())
    rate = y.mean()
    assert found.ne == pytest.approx(log_loss(y, p) / -(rate * math.log(rate) + (1 - rate) * math.log(1 - rate)))


def test_how_rows_are_cut_into_batches_changes_no_bit() -> None:
    p, y = drawn(5_000, 0)
    p[::500] = np.nan
    weight = np.random.default_rng(1).lognormal(0, 2, len(p))
    for w in (None, weight):
        whole, parts = StreamMetrics(), StreamMetrics()
        whole.add(p, y, w)
        for part in np.array_split(np.arange(len(p)), 9):
            parts.add(p[part], y[part], None if w is None else w[part])
        assert all(np.array_equal(whole.state()[name], parts.state()[name]) for name in whole.state())


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("is_weighted", [False, True])
def test_the_compiled_pass_equals_one_in_numpy(seed: int, is_weighted: bool) -> None:
    p, y = drawn(3_000, seed)
    p[:4] = 0, 1, 1e-9, 1 - 1e-9
    weight = np.random.default_rng(seed).lognormal(0, 2, len(p)) if is_weighted else None
    w = np.ones(len(p)) if weight is None else weight
    bounded = np.clip(p, TINY, 1 - TINY)
    steps = (np.log(bounded / (1 - bounded)) + LOGIT_BOUND) * (BINS / (2 * LOGIT_BOUND))
    bins = np.clip(steps.astype(int), 0, BINS - 1) + BINS * (y == 1)
    found = StreamMetrics()
    found.add(p, y, weight)
    state = found.state()
    np.testing.assert_allclose(state["histogram"], np.bincount(bins, w, minlength=2 * BINS), rtol=1e-13)
    entropy = -np.log(np.where(y, bounded, 1 - bounded))
    sums = len(p), y.sum(), (w * p).sum(), (w * entropy).sum(), 0, w.sum(), w[y == 1].sum()
    np.testing.assert_allclose(state["sums"], sums, rtol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_weighted_metrics_equal_those_of_scikit_learn(seed: int) -> None:
    logit, y = np.random.default_rng(seed).normal(-2.5, 1, 20_000), drawn(20_000, seed)[1]
    p = 1 / (1 + np.exp(-(np.floor(logit * 256) + 0.5) / 256))  # in the middle of the histogram's bins
    w = np.random.default_rng(seed + 1).lognormal(0, 2, len(p))
    found = StreamMetrics()
    for part in np.array_split(np.arange(len(p)), 7):
        found.add(p[part], y[part], w[part])
    assert found.auc == pytest.approx(roc_auc_score(y, p, sample_weight=w), rel=1e-12)
    loss = log_loss(y, p, sample_weight=w)
    assert found.logloss == pytest.approx(loss, rel=1e-12)
    assert found.calibration == pytest.approx((w * p).sum() / (w * y).sum())
    rate = np.average(y, weights=w)
    assert found.ne == pytest.approx(loss / -(rate * math.log(rate) + (1 - rate) * math.log(1 - rate)))
    assert (found.n, found.positives) == (len(p), y.sum())  # rows, whatever they weigh


@given(st.integers(0, 2**32), st.integers(1, 60))
def test_a_weight_says_how_often_a_row_counts(seed: int, n: int) -> None:
    p, y = drawn(n, seed)
    weight = np.random.default_rng(seed).integers(1, 5, n)
    weighted, repeated, plain, of_one = (StreamMetrics() for _ in range(4))
    weighted.add(p, y, weight.astype(float))
    repeated.add(np.repeat(p, weight), np.repeat(y, weight))
    plain.add(p, y)
    of_one.add(p, y, np.ones(n))
    for name in ("auc", "logloss", "ne", "calibration"):
        assert getattr(weighted, name) == pytest.approx(getattr(repeated, name), nan_ok=True)
        assert getattr(of_one, name) == pytest.approx(getattr(plain, name), rel=0, abs=0, nan_ok=True)


@pytest.mark.parametrize("length", [4, 5])
def test_sums_of_before_there_were_weights_are_read_as_of_weight_1(length: int) -> None:
    p, y = drawn(300, 1)
    found, again = StreamMetrics(), StreamMetrics()
    found.add(p, y)
    state = found.state()
    again.restore({"histogram": state["histogram"], "sums": state["sums"][:length]})
    for one in (found, again):
        one.add(p[:50], y[:50], np.full(50, 2.5))
    assert [getattr(again, name) for name in ("n", "auc", "logloss", "ne", "calibration")] == [
        getattr(found, name) for name in ("n", "auc", "logloss", "ne", "calibration")
    ]


@given(st.integers(0, 2**32), st.integers(1, 300), st.integers(0, 300))
def test_merging_equals_adding_and_a_restored_state_goes_on(seed: int, n: int, cut: int) -> None:
    p, y = drawn(n, seed)
    whole, head, tail = StreamMetrics(), StreamMetrics(), StreamMetrics()
    whole.add(p, y)
    head.add(p[:cut], y[:cut])
    tail.restore(head.state())
    tail.add(p[cut:], y[cut:])
    rest = StreamMetrics()
    rest.add(p[cut:], y[cut:])
    head.merge(rest)
    for other in (head, tail):
        assert other.n == whole.n and other.positives == whole.positives
        for name in ("auc", "logloss", "calibration"):
            assert getattr(other, name) == pytest.approx(getattr(whole, name), nan_ok=True)
    taken = whole.without(rest)
    only = StreamMetrics()
    only.add(p[:cut], y[:cut])
    assert taken.auc == pytest.approx(only.auc, nan_ok=True) and taken.sums == pytest.approx(only.sums, abs=1e-9)
    assert only.sums == pytest.approx((min(cut, n), y[:cut].sum(), p[:cut].sum(), only.n and only.n * only.logloss))


def test_the_base_rate_has_a_normalised_entropy_of_one_and_an_auc_of_a_half() -> None:
    y = np.array([0, 0, 0, 1], dtype=np.uint8)
    found = StreamMetrics()
    found.add(np.full(4, 0.25), y)
    assert found.ne == pytest.approx(1) and found.auc == 0.5 and found.calibration == 1


def test_without_both_labels_what_is_not_defined_is_nan() -> None:
    found = StreamMetrics()
    assert math.isnan(found.auc) and math.isnan(found.logloss)
    found.add(np.array([0.2, 0.0]), np.zeros(2, dtype=np.uint8))
    assert math.isnan(found.auc) and math.isnan(found.calibration) and math.isfinite(found.logloss)


def test_a_prediction_that_is_no_number_is_counted_apart_and_spoils_nothing() -> None:
    p, y = drawn(500, 1)
    clean, found = StreamMetrics(), StreamMetrics()
    clean.add(p, y)
    found.add(np.array([np.nan, -0.1, 1.1, np.inf]), np.array([1, 0, 1, 0]))
    assert found.n == 0 and found.not_numbers == 4
    found.add(np.append(p, np.nan), np.append(y, 1), np.append(np.ones(500), 1e9))
    again, both = StreamMetrics(), StreamMetrics()
    again.restore(found.state())
    both.merge(again)
    for one in (found, again, both):
        assert (one.n, one.not_numbers, one.logloss, one.auc) == (500, 5, clean.logloss, clean.auc)


def test_a_certain_prediction_in_single_precision_has_a_finite_log_loss() -> None:
    found = StreamMetrics()
    for dtype in (np.float16, np.float32, np.float64):
        found.add(np.array([0, 1, 1], dtype=dtype), np.array([1, 0, 1]))
    assert found.logloss == pytest.approx(-2 / 3 * math.log(1e-12), rel=1e-4)


@pytest.mark.parametrize(
    "pctr, label, weight, message",
    [
        (np.array([0.1]), np.array([-1]), None, r"label: got \[-1\], must be 0 or 1"),
        (np.array([0.1]), np.array([np.nan]), None, "label: got .*must be 0 or 1"),
        (np.array([0.1]), np.array(["1"]), None, "label: got <U1"),
        (np.array([0.1, 0.2]), np.array([1]), None, "label: has 1 rows, pctr has 2"),
        (np.array([[0.1]]), np.array([1]), None, r"pctr: got float64 \(1, 1\)"),
        ([0.1], np.array([1]), None, "pctr: got list"),
        (np.array([0.1]), np.array([1]), np.array([0.0]), "weight: got 0.0 to 0.0, must be above 0 and finite"),
        (np.array([0.1]), np.array([1]), np.array([np.nan]), "weight: got nan"),
        (np.array([0.1]), np.array([1]), np.array([np.inf]), "weight: got inf"),
        (np.array([0.1]), np.array([1]), np.ones(2), "weight: has 2 rows, pctr has 1"),
        (np.array([0.1]), np.array([1]), [1.0], "weight: got list"),
    ],
)
def test_what_is_no_prediction_with_its_label_is_refused(pctr: Any, label: Any, weight: Any, message: str) -> None:
    with pytest.raises(EventError, match=message):
        StreamMetrics().add(pctr, label, weight)


@pytest.mark.parametrize("weighted", [False, True])
def test_bins_hold_the_rows_between_their_edges(weighted: bool) -> None:
    rng = np.random.default_rng(4)
    pctr, label = rng.beta(1, 8, 4000), (rng.random(4000) < 0.1).astype(np.uint8)
    weight = rng.uniform(0.1, 5, 4000) if weighted else None
    edges = np.array([-6.0, -3.25, -3.0, -1.5, 0.5])
    metrics = StreamMetrics()
    metrics.add(pctr[:1500], label[:1500], None if weight is None else weight[:1500])
    metrics.add(pctr[1500:], label[1500:], None if weight is None else weight[1500:])
    ones = np.ones(4000) if weight is None else weight
    bins = np.searchsorted(edges, np.log(pctr / (1 - pctr)), side="right")
    found = metrics.binned(edges)
    np.testing.assert_allclose(found.weight, np.bincount(bins, ones, 6))
    np.testing.assert_allclose(found.labels, np.bincount(bins, ones * label, 6), atol=1e-9)
    np.testing.assert_allclose(found.predictions, np.bincount(bins, ones * pctr, 6), rtol=1e-3)
    assert found.predictions.sum() == pytest.approx((ones * pctr).sum(), rel=1e-12)


def test_bins_of_one_prediction_hold_exactly_its_sum_and_of_none_nothing() -> None:
    metrics = StreamMetrics()
    assert [column.tolist() for column in metrics.binned(np.array([0.0]))] == [[0, 0]] * 3
    metrics.add(np.full(7, 0.0801), np.array([1, 0, 0, 0, 0, 0, 0]))
    assert metrics.binned(np.array([0.0])).predictions == pytest.approx([7 * 0.0801, 0.0], rel=1e-12)
