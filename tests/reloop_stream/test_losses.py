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
from reloop_stream.config import LossConfig

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
