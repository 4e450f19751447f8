"""Backbones equal a naive implementation in numpy; the gradient by hand equals autograd's."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch

from reloop_stream import config
from reloop_stream.config import ModelConfig
from reloop_stream.models import MODELS, CtrModel, build
from reloop_stream.models import fm_kernels as fm
from reloop_stream.models.base import ROWS_AT_ONCE

FIELDS, D, N = 5, 4, 7


def model_and_input(name: str, **settings: Any) -> tuple[CtrModel, torch.Tensor]:
    torch.manual_seed(1)
    raw = {"name": name, "embedding": D, "hidden": [6, 4], "maps": [5, 3], "logarithmic": 3, "heads": 2} | settings
    model = build(ModelConfig.model_validate(raw), FIELDS, 0.2).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # what begins at zero or one must show too
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model, torch.randn(N, FIELDS, model.dimensions + 1)


def deep(weights: dict[str, np.ndarray], prefix: str, inputs: np.ndarray, output: bool = True) -> Any:
    """A multi-layer perceptron: rectified hidden layers, and one output where there is one."""
    hidden = inputs
    for i in range(2):
        hidden = np.maximum(weights[f"{prefix}.{i}.weight"] @ hidden + weights[f"{prefix}.{i}.bias"], 0)
    return weights[f"{prefix}.2.weight"][0] @ hidden if output else hidden


def pairs(vectors: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    return list(combinations(vectors, 2))


# What the papers write for one row beside bias and first-order weights: w has the weights by name, e [fields, d] the
# embeddings.


def naive_fm(w: dict[str, np.ndarray], e: np.ndarray) -> Any:
    return sum(a @ b for a, b in pairs(e))


def naive_nfm(w: dict[str, np.ndarray], e: np.ndarray) -> Any:
    return deep(w, "layers", np.sum([a * b for a, b in pairs(e)], axis=0))


def naive_ipnn(w: dict[str, np.ndarray], e: np.ndarray) -> Any:
    return deep(w, "layers", np.array([*e.ravel(), *(a @ b for a, b in pairs(e))]))


def naive_wide_deep(w: dict[str, np.ndarray], e: np.ndarray) -> Any:
    return deep(w, "layers", e.ravel())


def naive_deepfm(w: dict[str, np.ndarray], e: np.ndarray) -> Any:
    return naive_fm(w, e) + deep(w, "layers", e.ravel())


def naive_dcn(w: dict[str, np.ndarray], e: np.ndarray) -> Any:
    x0 = x = e.ravel()
    for weight, bias in zip(w["cross_weight"], w["cross_bias"], strict=True):
        x = np.outer(x0, x) @ weight + bias + x
    return np.concatenate([w["output.weight"][0], w["layers.2.weight"][0]]) @ [*x, *deep(w, "layers", x0, False)]


def naive_dcnv2(w: dict[str, np.ndarray], e: np.ndarray) -> Any:
    x0 = x = e.ravel()
    for matrix, bias in zip(w["cross_weight"], w["cross_bias"], strict=True):
        x = x0 * (matrix @ x + bias) + x
    return np.concatenate([w["output.weight"][0], w["layers.2.weight"][0]]) @ [*x, *deep(w, "layers", x0, False)]


def naive_xdeepfm(w: dict[str, np.ndarray], e: np.ndarray) -> Any:
    maps, sums = e, []
    for k in range(2):
        weight = w[f"map_weights.{k}"].reshape(-1, len(maps), FIELDS)
        maps = np.array([sum(h[i, j] * maps[i] * e[j] for i, j in np.ndindex(h.shape)) for h in weight])
        sums += [one.sum() for one in maps]
    return w["output.weight"][0] @ sums + deep(w, "layers", e.ravel())


def naive_fmfm(w: dict[str, np.ndarray], e: np.ndarray) -> Any:
    return sum(a @ matrix @ b for (a, b), matrix in zip(pairs(e), w["matrices"], strict=True))


def naive_afn_plus(w: dict[str, np.ndarray], e: np.ndarray) -> Any:
    of_products, of_deep = e[:, :D], e[:, D:]
    neurons = [np.prod(np.abs(of_products) ** powers[:, None], axis=0) for powers in w["powers"]]
    return deep(w, "layers", np.concatenate(neurons)) + deep(w, "deep_layers", of_deep.ravel())


def naive_finalmlp(w: dict[str, np.ndarray], e: np.ndarray) -> Any:
    gates = 2 / (1 + np.exp(-w["gates"]))
    one, other = deep(w, "one", (gates[0] * e).ravel(), False), deep(w, "other", (gates[1] * e).ravel(), False)
    heads = zip(np.split(one, 2), w["bilinear"], np.split(other, 2), strict=True)
    return w["linear.weight"][0] @ [*one, *other] + sum(a @ matrix @ b for a, matrix, b in heads)


def naive_lr(w: dict[str, np.ndarray], e: np.ndarray) -> Any:
    return 0.0


NAIVE = {name.removeprefix("naive_"): function for name, function in globals().items() if name.startswith("naive_")}


def test_the_registry_has_every_model_of_the_configuration() -> None:
    assert tuple(MODELS) == config.MODELS and MODELS.keys() == NAIVE.keys()


@pytest.mark.parametrize("name", MODELS)
def test_a_backbone_equals_the_naive_one(name: str) -> None:
    model, x = model_and_input(name)
    weights = {key: value.detach().double().numpy() for key, value in model.named_parameters()}
    rows = x.double().numpy()
    expected = [weights["bias"] + row[:, -1].sum() + NAIVE[name](weights, row[:, :-1]) for row in rows]
    np.testing.assert_allclose(model(x).detach().numpy(), expected, atol=1e-5)


def test_the_logarithm_of_a_zero_embedding_is_finite() -> None:
    model, x = model_and_input("afn_plus")
    x = torch.zeros_like(x).requires_grad_()
    logit = model(x)
    logit.sum().backward()
    assert x.grad is not None and logit.isfinite().all() and x.grad.isfinite().all()


def test_products_of_large_powers_are_finite() -> None:
    model, x = model_and_input("afn_plus")
    with torch.no_grad():
        model.get_parameter("powers").fill_(100.0)
    assert model(1e6 * x).isfinite().all()


def test_batch_norm_stands_between_a_linear_map_and_its_rectifier() -> None:
    model, x = model_and_input("wide_deep", hidden=[6], batch_norm=True)
    w = {key: value.detach().double().numpy() for key, value in with_statistics(model).state_dict().items()}
    linear = x[:, :, :-1].flatten(1).double().numpy() @ w["layers.0.weight"].T + w["layers.0.bias"]
    scaled = (linear - w["layers.0.norm.running_mean"]) / np.sqrt(w["layers.0.norm.running_var"] + 1e-5)
    hidden = np.maximum(scaled * w["layers.0.norm.weight"] + w["layers.0.norm.bias"], 0)
    expected = w["bias"] + x[:, :, -1].double().numpy().sum(1) + hidden @ w["layers.1.weight"][0]
    np.testing.assert_allclose(model(x).detach().numpy(), expected, atol=1e-5)


def test_with_batch_norm_a_prediction_in_eval_mode_does_not_depend_on_its_neighbours() -> None:
    model, x = model_and_input("deepfm", batch_norm=True)
    torch.testing.assert_close(with_statistics(model)(x)[:1], model(x[:1]))
    assert (model.train()(x)[:2] - model(x[:2])).abs().max() > 1e-3


def test_a_learner_of_a_stream_refuses_batch_norm() -> None:
    with pytest.raises(ValueError, match=r"batch_norm: got true, must be false: a stream may be learnt one"):
        config.LearnerConfig.model_validate({"model": {"name": "dcn", "batch_norm": True}})


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("hidden", [[], [4]])
def test_any_number_of_hidden_layers_will_do(name: str, hidden: list[int]) -> None:
    if name == "finalmlp" and not hidden:
        with pytest.raises(ValueError, match="hidden: got \\[\\], finalmlp needs at least one"):
            model_and_input(name, hidden=hidden)
        return
    model, x = model_and_input(name, hidden=hidden)
    assert model(x).shape == (N,) and model(x[:1]).shape == (1,)


def test_heads_that_do_not_divide_the_last_hidden_layer_are_an_error() -> None:
    with pytest.raises(ValueError, match="heads: got 3, must divide the last hidden layer, 4"):
        model_and_input("finalmlp", heads=3)


def with_statistics(model: CtrModel) -> CtrModel:
    """The model with batch norms that have seen something."""
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.running_mean, module.running_var = (
                torch.randn(len(module.weight)),
                1 + torch.rand(len(module.weight)),
            )
    return model


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("name", [name for name in MODELS if MODELS[name].partial is not CtrModel.partial])
def test_partial_sums_equal_the_whole_across_passes(name: str, batch_norm: bool) -> None:
    model = with_statistics(model_and_input(name, batch_norm=batch_norm)[0])
    width, k = model.dimensions + 1, 30
    r = ROWS_AT_ONCE // k + 3  # more than one pass
    requests, items = torch.randn(r, 2, width), torch.randn(9, 3, width)
    candidates = torch.randint(0, 9, (r, k))
    with torch.inference_mode():
        ours, theirs = model.partial(requests, [0, 3], with_bias=True), model.partial(items, [1, 2, 4], with_bias=False)
        assert ours is not None and theirs is not None
        x = torch.empty(r, k, FIELDS, width)
        x[:, :, [0, 3]] = requests[:, None]
        x[:, :, [1, 2, 4]] = items[candidates]
        whole = model(x.flatten(0, 1)).reshape(r, k)
        torch.testing.assert_close(model.combine(ours, theirs, candidates), whole, atol=1e-5, rtol=1e-5)


def test_wide_and_vectors_have_autograd_s_gradient() -> None:
    torch.manual_seed(0)
    x = torch.randn(6, FIELDS, D + 1, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(FIELDS * D, dtype=torch.float64)
    by_hand = x.detach().clone().requires_grad_()
    wide, vectors = fm.wide_and_vectors(by_hand)
    (wide.sin() + (vectors @ weight).cos()).sum().backward()
    plain = x[:, :, :-1]
    products = sum((plain[:, i] * plain[:, j]).sum(1) for i, j in combinations(range(FIELDS), 2))
    ((x[:, :, -1].sum(1) + products).sin() + (plain.flatten(1) @ weight).cos()).sum().backward()
    torch.testing.assert_close(by_hand.grad, x.grad, atol=1e-10, rtol=1e-10)


def test_numba_and_torch_agree() -> None:
    x = torch.randn(11, FIELDS, D + 1)
    found, expected = fm.forward_in_numba(x), fm.forward_in_torch(x)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)
    wide, total, vectors = expected
    gradients = x, total, torch.randn_like(wide), torch.randn_like(vectors)
    torch.testing.assert_close(fm.gradient_in_numba(*gradients), fm.gradient_in_torch(*gradients), atol=1e-5, rtol=1e-5)
