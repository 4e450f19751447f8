"""Adaptive factorization network, with a deep network beside it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from reloop_stream.config import ModelConfig
from reloop_stream.models.base import CtrModel
from reloop_stream.models.perceptron import Perceptron

__all__ = ["AFNPlus"]

SMALLEST = 1e-5  # what an embedding's size counts as at least, so that its logarithm and the gradient stay finite
LARGEST = 10.0  # what the logarithm of a product counts as at most, so that a step too large does not end in NaN


class AFNPlus(CtrModel):
    """Logarithmic neurons exp(sum of w_i·ln|e_i|), products of powers that learn which fields to multiply, with a deep
    network on them, beside a second deep network (Cheng et al. 2020, "Adaptive factorization network", its ensemble AFN+).

    The logarithm takes an embedding's absolute value, at least `SMALLEST`, as the authors do. As in the paper the two
    networks have embeddings of their own: a row of the table holds `embedding` dimensions for each. Instead of the paper's
    batch norms the powers begin small, so that products of small embeddings begin near 1, and products are bounded.
    """

    def __init__(self, config: ModelConfig, n_fields: int, base_rate: float) -> None:
        super().__init__(config, n_fields, base_rate)
        self.powers = nn.Parameter(0.1 * torch.randn(config.logarithmic, n_fields))
        self.layers = Perceptron(config.logarithmic * config.embedding, config)
        self.deep_layers = Perceptron(n_fields * config.embedding, config)

    @staticmethod
    def embedding_of(config: ModelConfig) -> int:
        return 2 * config.embedding

    def forward(self, x: Tensor) -> Tensor:
        of_products, of_deep = x[:, :, :-1].tensor_split(2, 2)
        logarithms = self.powers @ of_products.abs().clamp(min=SMALLEST).log()  # [n, neurons, d]
        products = torch.exp(logarithms.clamp(max=LARGEST))
        factorized, deep = self.layers(products.flatten(1)), self.deep_layers(of_deep.flatten(1))
        return self.first_order(x) + factorized.squeeze(1) + deep.squeeze(1)
