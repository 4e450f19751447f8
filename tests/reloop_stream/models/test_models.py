"""Backbones equal a naive implementation in numpy; the gradient by hand equals autograd's."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch

from reloop_stream.config import ModelConfig
from reloop_stream.models import MODELS, build
from reloop_stream.models import base as fm
from reloop_stream.models.deepfm import ROWS_AT_ONCE

FIELDS, D, N = 5, 4, 7


def model_and_input(name: str) -> tuple[torch.nn.Module, torch.Tensor]:
    torch.manual_seed(1)
    model = build(ModelConfig.model_validate({"name": name, "embedding": D, "hidden": [6, 3]}), FIELDS, 0.2).eval()
    return model, torch.randn(N, FIELDS, model.dimensions + 1)


def naive(name: str, model: torch.nn.Module, x: np.ndarray) -> np.ndarray:
    """One row after the other, as the papers write it."""
    named = {key: value.detach().double().numpy() for key, value in model.named_parameters()}

    def deep(inputs: np.ndarray) -> float:
        hidden = inputs
        for i in range(3):
            hidden = named[f"layers.{i}.weight"] @ hidden + named.get(f"layers.{i}.bias", 0.0)
            hidden = np.maximum(hidden, 0) if i < 2 else hidden
        return float(hidden[0])

    logits = []
    for row in x:
        vectors, logit = row[:, :-1], named["bias"] + row[:, -1].sum()
        if name in ("fm", "deepfm"):
            logit = logit + sum(vectors[i] @ vectors[j] for i, j in combinations(range(FIELDS), 2))
        if name in ("deepfm", "dcn"):
            logit = logit + deep(vectors.ravel())
        if name == "dcn":
            x0 = crossed = vectors.ravel()
            for w, b in zip(named["cross_weight"], named["cross_bias"], strict=True):
                crossed = x0 * (crossed @ w) + b + crossed
            logit = logit + named["output.weight"][0] @ crossed
        logits.append(logit)
    return np.array(logits)


@pytest.mark.parametrize("name", MODELS)
def test_a_backbone_equals_the_naive_one(name: str) -> None:
    model, x = model_and_input(name)
    np.testing.assert_allclose(model(x).detach().numpy(), naive(name, model, x.double().numpy()), atol=1e-5)


@pytest.mark.parametrize("name", ["lr", "fm", "deepfm"])
def test_partial_sums_equal_the_whole_across_passes(name: str) -> None:
    model, _ = model_and_input(name)
    width, k = model.dimensions + 1, 30
    r = ROWS_AT_ONCE // k + 3  # more than one pass
    requests, items = torch.randn(r, 2, width), torch.randn(9, 3, width)
    candidates = torch.randint(0, 9, (r, k))
    with torch.inference_mode():
        parts = model.partial(requests, [0, 3], with_bias=True), model.partial(items, [1, 2, 4], with_bias=False)
        x = torch.empty(r, k, FIELDS, width)
        x[:, :, [0, 3]] = requests[:, None]
        x[:, :, [1, 2, 4]] = items[candidates]
        whole = model(x.flatten(0, 1)).reshape(r, k)
        torch.testing.assert_close(model.combine(*parts, candidates), whole, atol=1e-5, rtol=1e-5)


def test_wide_and_vectors_have_autograd_s_gradient() -> None:
    torch.manual_seed(0)
    x = torch.randn(6, FIELDS, D + 1, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(FIELDS * D, dtype=torch.float64)
    by_hand = x.detach().clone().requires_grad_()
    wide, vectors = fm.wide_and_vectors(by_hand)
    (wide.sin() + (vectors @ weight).cos()).sum().backward()
    plain = x[:, :, :-1]
    pairs = sum((plain[:, i] * plain[:, j]).sum(1) for i, j in combinations(range(FIELDS), 2))
    ((x[:, :, -1].sum(1) + pairs).sin() + (plain.flatten(1) @ weight).cos()).sum().backward()
    torch.testing.assert_close(by_hand.grad, x.grad, atol=1e-10, rtol=1e-10)


def test_numba_and_torch_agree() -> None:
    x = torch.randn(11, FIELDS, D + 1)
    found, expected = fm.forward_in_numba(x), fm.forward_in_torch(x)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)
    wide, total, vectors = expected
    gradients = vectors, total, torch.randn_like(wide), torch.randn_like(vectors)
    torch.testing.assert_close(fm.gradient_in_numba(*gradients), fm.gradient_in_torch(*gradients), atol=1e-5, rtol=1e-5)
