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
from reloop_stream.metrics import StreamMetrics


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
    found.add(np.append(p, np.nan), np.append(y, 1))
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
    "pctr, label, message",
    [
        (np.array([0.1]), np.array([-1]), r"label: got \[-1\], must be 0 or 1"),
        (np.array([0.1]), np.array([np.nan]), "label: got .*must be 0 or 1"),
        (np.array([0.1]), np.array(["1"]), "label: got <U1"),
        (np.array([0.1, 0.2]), np.array([1]), "label: has 1 rows, pctr has 2"),
        (np.array([[0.1]]), np.array([1]), r"pctr: got float64 \(1, 1\)"),
        ([0.1], np.array([1]), "pctr: got list"),
    ],
)
def test_what_is_no_prediction_with_its_label_is_refused(pctr: Any, label: Any, message: str) -> None:
    with pytest.raises(EventError, match=message):
        StreamMetrics().add(pctr, label)
