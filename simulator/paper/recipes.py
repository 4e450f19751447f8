"""How each model is trained on each data set: the open benchmark's settings, and what tuning may change of them.

BARS (Zhu et al. 2022, "BARS: Towards open benchmarking for recommender systems") publishes for every model and data set the
settings that it found. Where ours differ: one dropout and one list of hidden layers for both of AFN+'s networks, patience 2
for all (IPNN had 3 there), and every model has first-order weights, which DCN, IPNN and AFN+ have not there.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from reloop_stream.config import ModelConfig
from simulator.paper.names import MODELS
from simulator.paper.training import Recipe

__all__ = ["ALPHA", "recipe_of", "tried"]

ALPHA = 0.2  # untuned
SHARED: dict[str, Any] = {"embedding": 10, "hidden": (400, 400, 400), "init_scale": 1e-4}

# data set → model → (λ, settings of the model).
FOUND: dict[str, dict[str, tuple[float, dict[str, Any]]]] = {
    "frappe": {
        "lr": (1e-5, {}),
        "fm": (5e-6, {}),
        "nfm": (1e-4, {"dropout": 0.4}),
        "ipnn": (0.05, {"dropout": 0.3}),
        "wide_deep": (0.1, {"dropout": 0.6, "batch_norm": True}),
        "dcn": (0.05, {"dropout": 0.2, "batch_norm": True, "crosses": 3}),
        "deepfm": (0.05, {"dropout": 0.2, "batch_norm": True}),
        "xdeepfm": (0.1, {"dropout": 0.2, "batch_norm": True, "maps": (64,)}),
        "fmfm": (1e-5, {}),
        "afn_plus": (1e-3, {"dropout": 0.2, "logarithmic": 1000}),
    },
    "movielens_tag": {
        "lr": (5e-6, {}),
        "fm": (5e-6, {}),
        "nfm": (1e-4, {"dropout": 0.2}),
        "ipnn": (0.01, {"dropout": 0.1}),
        "wide_deep": (0.01, {"dropout": 0.1, "batch_norm": True}),
        "dcn": (0.01, {"dropout": 0.2, "batch_norm": True, "crosses": 4}),
        "deepfm": (0.01, {"dropout": 0.3, "batch_norm": True}),
        "xdeepfm": (5e-3, {"dropout": 0.3, "maps": (64, 64, 64)}),
        "fmfm": (5e-6, {}),
        "afn_plus": (1e-3, {"dropout": 0.5, "logarithmic": 800}),
    },
}
# Of these the benchmark's settings for DCN and DeepFM are known here; every other model begins with DCN's.
for _name, _dcn, _deepfm in (
    ("criteo", (1e-5, {"dropout": 0.1, "crosses": 3}), (1e-5, {"dropout": 0.1, "batch_norm": True})),
    ("avazu", (0.05, {"dropout": 0.1, "crosses": 3}), (0.1, {"dropout": 0.3, "batch_norm": True})),
):
    FOUND[_name] = {**dict.fromkeys(MODELS, _dcn), "deepfm": _deepfm}
# No part of the benchmark and far smaller: MovieLens-tag's settings in small, at a batch that leaves a pass steps enough and
# a rate at which validation rises from the first pass on, without which patience 2 ends too soon.
SMALL: dict[str, Any] = {"hidden": (64, 64), "logarithmic": 64}
SMALL_MAPS = (16, 16)
SMALL_L2 = {"lr": 1e-3, "fm": 1e-3, "fmfm": 1e-3}
BATCH = {"ml_tags": 256, "ml_ratings": 1024}
RATE = {"ml_tags": 0.01, "ml_ratings": 0.003}

# What tuning tries: λ times a factor, dropout, the rate times a factor, α.
FACTORS = (0.1, 0.3, 1.0, 3.0, 10.0)
DROPOUTS = (0.0, 0.1, 0.2, 0.3, 0.5)
RATES = (0.3, 1.0, 3.0)
ALPHAS = (0.1, 0.2, 0.3, 0.5, 0.7)


def recipe_of(data_set: str, model: str) -> Recipe:
    """The settings to begin with."""
    if data_set in FOUND:
        l2, found = FOUND[data_set][model]
        return Recipe(ModelConfig(name=model, **SHARED, **found), l2)
    l2, found = FOUND["movielens_tag"][model]
    if "maps" in found:
        found = {**found, "maps": SMALL_MAPS}
    config = ModelConfig(name=model, **{**SHARED, **found, **SMALL})
    return Recipe(config, SMALL_L2.get(model, l2), RATE[data_set], BATCH[data_set])


def tried(recipe: Recipe, alpha: float | None, trial: int) -> tuple[Recipe, float]:
    """What the trial of this number tries: at 0 the settings to begin with, else others drawn by its number, the same ones for
    every arm. alpha: where it is fixed, or None to have it tuned too."""
    rng = np.random.default_rng([trial, 2022])
    factor, dropout, rate, drawn = (rng.choice(choices) for choices in (FACTORS, DROPOUTS, RATES, ALPHAS))
    if trial == 0:
        return recipe, ALPHA if alpha is None else alpha
    model = recipe.model.model_copy(update={"dropout": float(dropout)})
    changed = recipe._replace(model=model, l2=recipe.l2 * float(factor), rate=recipe.rate * float(rate))
    return changed, float(drawn) if alpha is None else alpha
