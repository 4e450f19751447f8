"""xDeepFM."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from reloop_stream.config import ModelConfig
from reloop_stream.models.base import CtrModel
from reloop_stream.models.perceptron import Perceptron

__all__ = ["XDeepFM"]


class XDeepFM(CtrModel):
    """A compressed interaction network beside a deep one (Lian et al. 2018, "xDeepFM", Eq. 6-9).

    Feature map h of layer k is the sum over i, j of W[h, i, j]·(map i of layer k - 1 * vector j), products by element; its
    sum over the dimensions is an input of the output. Without activation and with every map passed on to the next layer, as
    the paper has it.
    """

    def __init__(self, config: ModelConfig, n_fields: int, base_rate: float) -> None:
        super().__init__(config, n_fields, base_rate)
        self.map_weights = nn.ParameterList(
            torch.randn(maps, before * n_fields) / (before * n_fields) ** 0.5
            for before, maps in itertools.pairwise((n_fields, *config.maps))
        )
        self.layers = Perceptron(n_fields * config.embedding, config)
        self.output = nn.Linear(sum(config.maps), 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        vectors = maps = x[:, :, :-1]
        sums = []
        for weight in self.map_weights:
            products = maps[:, :, None] * vectors[:, None]  # [n, maps before, fields, d]
            maps = weight @ products.flatten(1, 2)
            sums.append(maps.sum(2))
        interactions = self.output(torch.cat(sums, 1)).squeeze(1)
        return self.first_order(x) + interactions + self.layers(vectors.flatten(1)).squeeze(1)
