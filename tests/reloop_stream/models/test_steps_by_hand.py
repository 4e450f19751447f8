"""Gradients that are written by hand equal autograd's, over shapes and from batch to batch."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reloop_stream.config import ModelConfig
from reloop_stream.models import MODELS, CtrModel, build
from reloop_stream.models.scratch import Scratch

BY_HAND = [name for name in MODELS if MODELS[name].keep is not CtrModel.keep]


def model_of(name: str, fields: int, **settings: Any) -> CtrModel:
    torch.manual_seed(1)
    model = build(ModelConfig.model_validate({"name": name} | settings), fields, 0.2).double().eval()
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)  # what begins at zero or one must show too
        parameter.grad = torch.zeros_like(parameter)
    return model


def step(model: CtrModel, x: torch.Tensor, d_logit: torch.Tensor, by_hand: bool) -> list[torch.Tensor]:
    """The logit, and the gradients of x and of each parameter."""
    for parameter in model.parameters():
        assert parameter.grad is not None
        parameter.grad.zero_()
    if by_hand:
        logit, kept = model.forward_keeping(x.clone())
        d_x: torch.Tensor | None = model.backward(d_logit, kept)
    else:
        leaf = x.clone().requires_grad_()
        logit = model(leaf)
        logit.backward(d_logit)
        d_x = leaf.grad
    found = [logit.detach(), d_x, *(parameter.grad for parameter in model.parameters())]
    return [tensor.clone() for tensor in found if tensor is not None]


@pytest.mark.parametrize("name", BY_HAND)
@settings(max_examples=12, deadline=None)
@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=3),
    st.integers(1, 6),
    st.sampled_from([1, 3, 8]),
    st.sampled_from([(), (5,), (4, 3, 2)]),
    st.integers(1, 3),
)
def test_a_step_by_hand_equals_autograd_s(
    name: str, batches: list[int], fields: int, d: int, hidden: tuple[int, ...], crosses: int
) -> None:
    if name == "finalmlp":
        hidden = (*hidden[:-1], 4)  # which heads divide
    model = model_of(name, fields, embedding=d, hidden=hidden, crosses=crosses, maps=(2, 3, 2)[:crosses], heads=2)
    for n in batches:  # what is kept from one batch must not show in another, larger or smaller
        x, d_logit = torch.randn(n, fields, model.dimensions + 1).double(), torch.randn(n).double()
        found, expected = step(model, x, d_logit, True), step(model, x, d_logit, False)
        assert len(found) == len(expected) == 2 + len(list(model.parameters()))
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def test_bounded_logarithms_and_products_have_autograd_s_gradient() -> None:
    model = model_of("afn_plus", 3, embedding=2, hidden=(4,), logarithmic=3)
    x = torch.randn(4, 3, model.dimensions + 1).double()
    x[0], x[1] = 0.0, 1e-7
    x[2] *= 1e3
    model.get_parameter("powers").data[0] = 30.0
    for one, other in zip(*(step(model, x, torch.ones(4).double(), by_hand) for by_hand in (True, False)), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)
        assert one.isfinite().all()


@pytest.mark.parametrize("name", BY_HAND)
@pytest.mark.parametrize("case", ["batch norm", "training"])
def test_where_a_step_by_hand_would_be_wrong_autograd_does_it(name: str, case: str) -> None:
    model = model_of(name, 3, embedding=2, hidden=(4,), heads=2, batch_norm=case == "batch norm", dropout=0.5)
    model.train(case == "training")
    x, d_logit = torch.randn(4, 3, model.dimensions + 1).double(), torch.randn(4).double()
    torch.manual_seed(3)
    found = step(model, x, d_logit, True)
    torch.manual_seed(3)
    for one, other in zip(found, step(model, x, d_logit, False), strict=True):
        torch.testing.assert_close(one, other)


def test_a_model_without_a_gradient_by_hand_learns_by_autograd() -> None:
    class Squared(CtrModel):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.square().sum((1, 2)) + self.bias

    model = Squared(ModelConfig(), 2, 0.2)
    model.bias.grad = torch.zeros(())
    x = torch.randn(3, 2, 9)
    logit, kept = model.forward_keeping(x)
    d_x = model.backward(torch.tensor([1.0, 2.0, 3.0]), kept)
    assert not logit.requires_grad and float(model.bias.grad) == 6.0
    torch.testing.assert_close(d_x, 2 * x * torch.tensor([1.0, 2.0, 3.0])[:, None, None])


def test_scratch_is_kept_from_batch_to_batch_and_shared_by_no_copy() -> None:
    scratch = Scratch()
    whole = scratch.take("a", (4, 3))
    part, other = scratch.take("a", (2, 3)), copy.deepcopy(scratch).take("a", (4, 3))
    assert part.data_ptr() == whole.data_ptr() == scratch.take("a", (4, 3)).data_ptr() != other.data_ptr()
    assert scratch.take("b", (4, 3)).data_ptr() != whole.data_ptr()
    assert scratch.take("a", (5, 3)).shape == (5, 3) and scratch.take("a", (1,), torch.float64).dtype == torch.float64
