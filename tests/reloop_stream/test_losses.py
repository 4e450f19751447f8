"""The losses: worked values, and the weight form against the loss form."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from reloop_stream import losses
from reloop_stream.config import LOSSES, LossConfig
from reloop_stream.learners.last_predictions import groups_of, last_predictions
from reloop_stream.testing import examples

CASES = json.loads((Path(__file__).parent / "loss_vectors.json").read_text())
probability = st.floats(0.001, 0.999)


@given(p=probability, p_last=probability, y=st.integers(0, 1), alpha=st.floats(0, 1))
def test_the_weight_form_equals_the_gradient_of_the_loss_form(p: float, p_last: float, y: int, alpha: float) -> None:
    by_weight = losses.reloop_weight(p, p_last, y, alpha) * losses.d_bce(p, y)
    assert by_weight == pytest.approx(losses.d_reloop(p, p_last, y, alpha), abs=1e-12)


@given(p_last=probability, y=st.integers(0, 1), alpha=st.floats(0, 1), logit=st.floats(-6, 6))
def test_autograd_of_the_paper_s_equations_agrees(p_last: float, y: int, alpha: float, logit: float) -> None:
    z = torch.tensor(logit, dtype=torch.float64, requires_grad=True)
    p = torch.sigmoid(z)
    if abs(float(p.detach()) - p_last) < 1e-5:
        return  # the kink: tested below
    correction = y * torch.clamp(p_last - p, min=0) + (1 - y) * torch.clamp(p - p_last, min=0)
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(z, torch.tensor(float(y), dtype=torch.float64))
    loss = alpha * correction + (1 - alpha) * entropy
    loss.backward()
    assert float(loss.detach()) == pytest.approx(float(losses.reloop(float(p.detach()), p_last, y, alpha)), abs=1e-9)
    assert z.grad is not None
    assert float(z.grad) == pytest.approx(float(losses.d_reloop(float(p.detach()), p_last, y, alpha)), abs=1e-9)


@pytest.mark.parametrize("gap", [0.0, 1e-7, -1e-7, 9e-7])
def test_a_tie_gives_no_extra_weight(gap: float) -> None:
    for y in (0, 1):
        assert losses.reloop_weight(0.5, 0.5 + gap, y, 0.2) == pytest.approx(0.8)


def test_distillation_is_cross_entropy_with_a_soft_label() -> None:
    soft = losses.distillation_target(0.3, 1, 0.4)
    assert losses.distillation(0.2, 0.3, 1, 0.4) == pytest.approx(float(losses.bce(0.2, soft)))


@pytest.mark.parametrize("alpha", [-0.1, 1.2, float("nan")])
def test_alpha_outside_its_bounds_is_an_error(alpha: float) -> None:
    with pytest.raises(ValueError, match=r"alpha: got .* must be in \[0, 1\]"):
        losses.reloop(0.1, 0.1, 0, alpha)


def test_rows_stamped_by_version_0_get_cross_entropy() -> None:
    config = LossConfig(name="reloop", alpha=0.5)
    p, p_last, y = np.array([0.1, 0.1]), np.array([0.3, 0.3]), np.array([1, 1])
    target, weight = losses.target_and_weight(config, p, p_last, y, np.array([True, False]))
    assert weight[1] == 1.0 and weight[0] != 1.0 and target.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("row", CASES["rows"])
def test_the_worked_values(row: dict[str, float]) -> None:
    p, p_last, y, alpha = row["p"], row["p_last"], row["y"], row["alpha"]
    found = {
        "bce": losses.bce(p, y),
        "self_correction": losses.self_correction(p, p_last, y),
        "reloop": losses.reloop(p, p_last, y, alpha),
        "distillation": losses.distillation(p, p_last, y, alpha),
        "d_bce": losses.d_bce(p, y),
        "d_self_correction": losses.d_self_correction(p, p_last, y),
        "d_reloop": losses.d_reloop(p, p_last, y, alpha),
        "d_distillation": losses.d_distillation(p, p_last, y, alpha),
        "weight": losses.reloop_weight(p, p_last, y, alpha),
    }
    for name, value in found.items():
        assert value == pytest.approx(row[name], abs=1e-9), name


def test_an_item_s_error_is_forgiven_where_its_list_errs_no_more_than_before() -> None:
    p, p_last, y = np.array([0.3, 0.2, 0.6, 0.1]), np.array([0.4, 0.4, 0.5, 0.1]), np.array([1, 0, 0, 0])
    known, alpha = np.ones(4, dtype=bool), 0.5
    # err .7 .2 .6 .1, err_last .6 .4 .5 .1. The first list errs .45 on average and erred .5: nothing to correct, though
    # its first item errs more. The second errs .35 and erred .3: both its items are corrected, the tied one too.
    config = LossConfig(name="reloop", alpha=alpha, level="list")
    _, by_list = losses.target_and_weight(config, p, p_last, y, known, np.array([0, 0, 1, 1]))
    assert by_list == pytest.approx([0.5, 0.5, 0.5 + 0.5 * 0.4, 0.5 + 0.5 * 0.9])
    _, by_item = losses.target_and_weight(LossConfig(name="reloop", alpha=alpha), p, p_last, y, known)
    assert by_item == pytest.approx([0.5 + 0.5 * 0.3, 0.5, 0.5 + 0.5 * 0.4, 0.5])


def value_by_group(p: np.ndarray, p_last: np.ndarray, y: np.ndarray, group: np.ndarray, alpha: float) -> float:
    """alpha · the sum over groups of |g| · max(mean err - mean err_last, 0), plus (1 - alpha) · cross-entropy."""
    correction = 0.0
    for g in set(group.tolist()):
        rows = group == g
        more = np.abs(p - y)[rows].mean() - np.abs(p_last - y)[rows].mean()
        correction += rows.sum() * max(more, 0.0)
    return float(alpha * correction + (1 - alpha) * -np.log(np.where(y == 1, p, 1 - p)).sum())


@pytest.mark.parametrize("level", ["list", "session"])
@given(seed=st.integers(0, 10_000), alpha=st.floats(0, 1))
def test_a_group_s_weights_are_the_gradient_of_its_loss(level: str, seed: int, alpha: float) -> None:
    rng = np.random.default_rng(seed)
    shown = examples(12, seed, user_id=rng.integers(0, 3, 12))
    config = LossConfig(name="reloop", alpha=alpha, level=level, session_minutes=5)
    group = groups_of(config, shown)
    assert group is not None
    logit, p_last = rng.normal(-1, 1, 12), rng.uniform(0.05, 0.6, 12)
    y = rng.integers(0, 2, 12)

    def value(z: np.ndarray) -> float:
        return value_by_group(1 / (1 + np.exp(-z)), p_last, y, group, alpha)

    p, step = 1 / (1 + np.exp(-logit)), 1e-6
    numeric = [(value(logit + step * unit) - value(logit - step * unit)) / (2 * step) for unit in np.eye(12)]
    target, weight = losses.target_and_weight(config, p, p_last, y, np.ones(12, dtype=bool), group)
    assert weight * (p - target) == pytest.approx(numeric, abs=1e-5)


def test_rows_without_a_last_prediction_do_not_count_in_their_group() -> None:
    p, p_last, y = np.array([0.5, 0.9]), np.array([0.4, 0.1]), np.zeros(2)
    config = LossConfig(name="reloop", alpha=0.5, level="list")
    _, weight = losses.target_and_weight(config, p, p_last, y, np.array([True, False]), np.zeros(2, dtype=int))
    assert weight == pytest.approx([0.5 + 0.5 * 0.5, 1.0])


def test_a_session_ends_where_a_user_was_away_for_longer() -> None:
    minute = 60_000
    shown = examples(
        6,
        user_id=np.array([7, 7, 8, 7, 7, 8]),
        event_time_ms=np.array([0, 30, 31, 61, 91, 62]) * minute,
        request_id=np.array(["a", "a", "b", "c", "d", "e"], dtype=object),
    )
    groups = groups_of(LossConfig(name="reloop", level="session", session_minutes=30), shown)
    # user 7: 0 and 30 are half an hour apart, 30 and 61 more, 61 and 91 half an hour again; user 8: 31 and 62.
    assert groups is not None and groups.tolist() == [0, 0, 2, 1, 1, 3]
    lists = groups_of(LossConfig(name="reloop", level="list"), shown)
    assert lists is not None and lists.tolist() == [0, 0, 1, 2, 3, 4]
    assert groups_of(LossConfig(name="reloop"), shown) is None


def test_fnw_s_worked_weights() -> None:
    p, y = np.array([0.2, 0.2, 0.5]), np.array([1, 0, 0])
    config = LossConfig(name="fnw", scale=0.5)
    target, weight = losses.target_and_weight(config, p, p, y, np.zeros(3, dtype=bool))
    assert target.tolist() == [1, 0, 0] and weight == pytest.approx([0.6, 0.48, 0.375])


def optimum(loss: str, labels: np.ndarray) -> float:
    """Where plain gradient steps on the whole stream of one item's labels come to rest."""
    logit, config = 0.0, LossConfig(name=loss)
    for _ in range(2000):
        p = np.full(len(labels), 1 / (1 + np.exp(-logit)))
        target, weight = losses.target_and_weight(config, p, p, labels, np.zeros(len(labels), dtype=bool))
        logit -= float((weight * (p - target)).mean())
    return float(1 / (1 + np.exp(-logit)))


@pytest.mark.parametrize("clicks", [4, 20, 45])
def test_the_optimum_of_a_stream_in_which_clicks_are_negatives_first(clicks: int) -> None:
    labels = np.concatenate((np.zeros(100), np.ones(clicks)))  # a hundred exposures, each a negative at serving
    q = clicks / 100
    assert optimum("bce", labels) == pytest.approx(q / (1 + q), abs=1e-3)
    assert optimum("fnw", labels) == pytest.approx(q, abs=1e-3)
    assert optimum("fnc", labels) == pytest.approx(q / (1 + q), abs=1e-3)  # corrected when it is served


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_that_is_said_to_compare_has_a_last_prediction_and_no_other(name: str) -> None:
    compares = 0 if name in losses.WITHOUT_LAST else 9
    assert last_predictions(LossConfig(name=name), examples(9), None, None).known.sum() == compares


@pytest.mark.parametrize("name", LOSSES)
def test_what_is_said_of_a_loss_is_true_of_its_targets_and_weights(name: str) -> None:
    y, known = np.array([0, 1, 0, 1]), np.ones(4, dtype=bool)

    def found(p: float, p_last: float) -> list[list[float]]:
        config = LossConfig(name=name, alpha=0.4)
        target, weight = losses.target_and_weight(config, np.full(4, p), np.full(4, p_last), y, known)
        return [target.tolist(), weight.tolist()]

    usual = found(0.3, 0.2)
    assert (found(0.3, 0.4) == usual) == (name in losses.WITHOUT_LAST)
    assert (found(0.1, 0.2) == usual) == (name in losses.CONSTANT_WEIGHTS)
