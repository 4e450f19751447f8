"""CTR backbones in torch, one file each, and their registry."""

from __future__ import annotations

from reloop_stream import plugins
from reloop_stream.config import ModelConfig
from reloop_stream.models.base import CtrModel
from reloop_stream.models.dcn import DCN
from reloop_stream.models.deepfm import DeepFM
from reloop_stream.models.fm import FM
from reloop_stream.models.lr import LR

__all__ = ["MODELS", "CtrModel", "build"]

MODELS: dict[str, type[CtrModel]] = {"lr": LR, "fm": FM, "deepfm": DeepFM, "dcn": DCN}


def build(config: ModelConfig, n_fields: int, base_rate: float) -> CtrModel:
    """The backbone that the configuration names, its weights drawn from torch's current random state."""
    chosen: type[CtrModel] = MODELS.get(config.name) or plugins.get("model", config.name)
    return chosen(config, n_fields, base_rate)
