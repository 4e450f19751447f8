"""Deep & Cross network."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from reloop_stream.config import ModelConfig
from reloop_stream.models.base import CtrModel
from reloop_stream.models.deepfm import hidden_layers

__all__ = ["DCN"]


class DCN(CtrModel):
    """Cross layers x' = x0·(x·w) + b + x beside a deep network (Wang et al. 2017, "Deep & Cross Network", Eq. 3 and 6).

    The first-order weights of the embedding table are added, as in the other backbones here.
    """

    def __init__(self, config: ModelConfig, n_fields: int, base_rate: float) -> None:
        super().__init__(config, n_fields, base_rate)
        width = n_fields * config.embedding
        self.cross_weight = nn.Parameter(torch.randn(config.crosses, width) / width**0.5)
        self.cross_bias = nn.Parameter(torch.zeros(config.crosses, width))
        self.layers = hidden_layers(width, config)
        self.dropout = nn.Dropout(config.dropout) if config.dropout else nn.Identity()
        self.output = nn.Linear(width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        first = x[:, :, :-1].flatten(1)
        crossed = first
        for weight, bias in zip(self.cross_weight, self.cross_bias, strict=True):
            crossed = first * (crossed @ weight)[:, None] + bias + crossed
        hidden = first
        *inner, last = self.layers
        for layer in inner:
            hidden = self.dropout(torch.relu_(layer(hidden)))
        # One linear map of [crossed, hidden] (Eq. 6), written as two.
        return x[:, :, -1].sum(1) + self.output(crossed).squeeze(1) + last(hidden).squeeze(1) + self.bias
