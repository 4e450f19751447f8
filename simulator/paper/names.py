"""What the tables are about, by name, and what each is called in them. Free of torch, so that the command line reads it quickly."""

from __future__ import annotations

__all__ = ["ARMS", "BACKBONES", "DATA_SETS", "MODELS", "PLAIN"]

DATA_SETS = ("criteo", "avazu", "movielens_tag", "frappe", "ml_tags", "ml_ratings")

# The models of Table 1, in its order.
MODELS = {
    "lr": "LR",
    "fm": "FM",
    "nfm": "NFM",
    "ipnn": "IPNN",
    "wide_deep": "Wide&Deep",
    "dcn": "DCN",
    "deepfm": "DeepFM",
    "xdeepfm": "xDeepFM",
    "fmfm": "FmFM",
    "afn_plus": "AFN+",
}
BACKBONES = ("dcn", "deepfm")  # that the paper puts ReLoop and distillation on

# bce_scaled: the control that the paper lacks.
ARMS = {
    "bce": "cross-entropy",
    "bce_scaled": "cross-entropy × (1 − α)",
    "kd": "distillation",
    "reloop": "ReLoop",
}
PLAIN = "bce"
