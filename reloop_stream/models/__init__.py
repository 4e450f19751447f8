"""CTR backbones in torch, one file each, and their registry."""

from __future__ import annotations

from reloop_stream import plugins
from reloop_stream.config import ModelConfig
from reloop_stream.models.afn_plus import AFNPlus
from reloop_stream.models.base import CtrModel
from reloop_stream.models.dcn import DCN
from reloop_stream.models.dcnv2 import DCNv2
from reloop_stream.models.deepfm import DeepFM
from reloop_stream.models.finalmlp import FinalMLP
from reloop_stream.models.fm import FM
from reloop_stream.models.fmfm import FmFM
from reloop_stream.models.ipnn import IPNN
from reloop_stream.models.lr import LR
from reloop_stream.models.nfm import NFM
from reloop_stream.models.wide_deep import WideDeep
from reloop_stream.models.xdeepfm import XDeepFM

__all__ = ["MODELS", "CtrModel", "build"]

MODELS: dict[str, type[CtrModel]] = {
    "lr": LR,
    "fm": FM,
    "nfm": NFM,
    "ipnn": IPNN,
    "wide_deep": WideDeep,
    "dcn": DCN,
    "deepfm": DeepFM,
    "xdeepfm": XDeepFM,
    "fmfm": FmFM,
    "afn_plus": AFNPlus,
    "dcnv2": DCNv2,
    "finalmlp": FinalMLP,
}


def build(config: ModelConfig, n_fields: int, base_rate: float) -> CtrModel:
    """The backbone that the configuration names, its weights drawn from torch's current random state."""
    chosen: type[CtrModel] = MODELS.get(config.name) or plugins.get("model", config.name)
    return chosen(config, n_fields, base_rate)
