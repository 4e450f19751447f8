"""Adaptive factorization network, with a deep network beside it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from reloop_stream.config import ModelConfig
from reloop_stream.models.base import CtrModel
from reloop_stream.models.perceptron import Perceptron
from reloop_stream.models.vectors import join, put_bias, split

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
        logarithms = torch.einsum("lf,nfd->nld", self.powers, of_products.abs().clamp(min=SMALLEST).log())
        products = torch.exp(logarithms.clamp(max=LARGEST))
        factorized, deep = self.layers(products.flatten(1)), self.deep_layers(of_deep.flatten(1))
        return self.first_order(x) + factorized.squeeze(1) + deep.squeeze(1)

    def keep(self, x: Tensor) -> tuple[Tensor, tuple[Any, ...]]:
        """Logarithms and products lie the other way round here, [fields, n · d] and [neurons, n · d]: one matrix times the
        other."""
        n, fields, d = len(x), self.n_fields, self.dimensions // 2
        first, vectors = split(x, self.scratch)
        take, dtype = self.scratch.take, x.dtype
        both = vectors.view(n, fields, 2 * d)
        of_products, of_deep = take("of_products", (fields, n, d), dtype), take("of_deep", (n, fields, d), dtype)
        of_products.copy_(both[:, :, :d].transpose(0, 1))
        of_deep.copy_(both[:, :, d:])
        logarithms = torch.abs(of_products, out=take("logarithms", (fields, n, d), dtype)).clamp_(min=SMALLEST).log_()
        shape = len(self.powers), n * d
        powers = torch.mm(self.powers, logarithms.view(fields, -1), out=take("powers", shape, dtype))
        products = take("products", (n, shape[0], d), dtype)
        products.copy_(powers.view(-1, n, d).transpose(0, 1)).clamp_(max=LARGEST).exp_()
        factorized, of_factorized = self.layers.keep(products.view(n, -1))
        deep, of_deep_layers = self.deep_layers.keep(of_deep.view(n, -1))
        logit = first + factorized.squeeze(1) + deep.squeeze(1) + self.bias
        return logit, (of_products, logarithms, powers, products, of_factorized, of_deep_layers)

    def gradient(self, d_logit: Tensor, kept: tuple[Any, ...]) -> Tensor:
        of_products, logarithms, powers, products, of_factorized, of_deep_layers = kept
        fields, n, d = of_products.shape
        of_powers = self.powers.grad
        assert of_powers is not None
        put_bias(self.bias, d_logit)
        d_products = self.layers.gradient(d_logit[:, None], of_factorized).mul_(products.view(n, -1))
        bounded = powers > LARGEST
        d_powers = powers.view(-1, n, d).copy_(d_products.view(n, -1, d).transpose(0, 1)).view(len(powers), -1)
        d_powers.masked_fill_(bounded, 0.0)
        torch.mm(d_powers, logarithms.view(fields, -1).T, out=of_powers)
        d_logarithms = torch.mm(self.powers.T, d_powers, out=logarithms.view(fields, -1)).view(fields, n, d)
        # The derivative of ln|e| is 1/e, and 0 below the smallest.
        d_logarithms.div_(of_products).masked_fill_(of_products.abs() < SMALLEST, 0.0)
        d_vectors = self.scratch.take("d_vectors", (n, fields, 2 * d), products.dtype)
        d_vectors[:, :, :d] = d_logarithms.transpose(0, 1)
        d_vectors[:, :, d:] = self.deep_layers.gradient(d_logit[:, None], of_deep_layers).view(n, fields, d)
        return join(d_logit, d_vectors.view(n, -1), fields, self.scratch)
