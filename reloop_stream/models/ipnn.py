"""Inner product-based neural network."""

from __future__ import annotations

import torch
from torch import Tensor

from reloop_stream.config import ModelConfig
from reloop_stream.models.base import CtrModel
from reloop_stream.models.perceptron import Perceptron

__all__ = ["IPNN"]


class IPNN(CtrModel):
    """A deep network on the embeddings and the inner products of all pairs of them (Qu et al. 2016, "Product-based neural
    networks", Section III.B: l1 = relu(W_z·z + W_p·p + b)).

    A pair has one weight a unit; the paper's factorization of them into rank one, which saves time, is not used.
    """

    def __init__(self, config: ModelConfig, n_fields: int, base_rate: float) -> None:
        super().__init__(config, n_fields, base_rate)
        self._pairs = torch.triu_indices(n_fields, n_fields, 1).unbind()
        self.layers = Perceptron(n_fields * config.embedding + len(self._pairs[0]), config)

    def forward(self, x: Tensor) -> Tensor:
        vectors = x[:, :, :-1]
        left, right = self._pairs
        products = torch.matmul(vectors, vectors.transpose(1, 2))[:, left, right]
        return self.first_order(x) + self.layers(torch.cat((vectors.flatten(1), products), 1)).squeeze(1)
