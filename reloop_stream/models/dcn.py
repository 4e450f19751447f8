"""Deep & Cross network."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from reloop_stream.config import ModelConfig
from reloop_stream.models.base import CtrModel
from reloop_stream.models.perceptron import Perceptron

__all__ = ["DCN"]


class DCN(CtrModel):
    """Cross layers x' = x0·(x·w) + b + x beside a deep network (Wang et al. 2017, "Deep & Cross Network", Eq. 3 and 6)."""

    def __init__(self, config: ModelConfig, n_fields: int, base_rate: float) -> None:
        super().__init__(config, n_fields, base_rate)
        width = n_fields * config.embedding
        self.cross_weight = nn.Parameter(torch.randn(config.crosses, *self.weight_shape(width)) / width**0.5)
        self.cross_bias = nn.Parameter(torch.zeros(config.crosses, width))
        self.layers = Perceptron(width, config)
        self.output = nn.Linear(width, 1, bias=False)

    @staticmethod
    def weight_shape(width: int) -> tuple[int, ...]:
        """Of one cross layer's weights."""
        return (width,)

    @staticmethod
    def cross(first: Tensor, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """One cross layer, [n, width] from the first layer's input and its own, both [n, width]."""
        return first * (x @ weight)[:, None] + bias + x

    def forward(self, x: Tensor) -> Tensor:
        first = crossed = x[:, :, :-1].flatten(1)
        for weight, bias in zip(self.cross_weight, self.cross_bias, strict=True):
            crossed = self.cross(first, crossed, weight, bias)
        # One linear map of [crossed, hidden] (Eq. 6), written as two.
        return self.first_order(x) + self.output(crossed).squeeze(1) + self.layers(first).squeeze(1)
