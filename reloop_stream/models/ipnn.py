"""Inner product-based neural network."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from reloop_stream.config import ModelConfig
from reloop_stream.models.base import CtrModel
from reloop_stream.models.perceptron import Perceptron
from reloop_stream.models.vectors import join, put_bias, split
from reloop_stream.runtime.compiled import compiled

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

    def keep(self, x: Tensor) -> tuple[Tensor, tuple[Any, ...]]:
        n, fields = len(x), self.n_fields
        first, flat = split(x, self.scratch)
        vectors = flat.view(n, fields, -1)
        products = self.scratch.take("products", (n, fields, fields), x.dtype)
        torch.bmm(vectors, vectors.transpose(1, 2), out=products)
        inputs = self.scratch.take("inputs", (n, flat.shape[1] + len(self._pairs[0])), x.dtype)
        _side_by_side(flat.numpy(), products.numpy(), inputs.numpy())
        deep, kept = self.layers.keep(inputs)
        return deep.squeeze(1) + first + self.bias, (vectors, kept)

    def gradient(self, d_logit: Tensor, kept: tuple[Any, ...]) -> Tensor:
        vectors, of_deep = kept
        n, fields, d = vectors.shape
        put_bias(self.bias, d_logit)
        d_inputs = self.layers.gradient(d_logit[:, None], of_deep)
        d_products = self.scratch.take("products", (n, fields, fields), vectors.dtype)
        d_vectors = self.scratch.take("d_vectors", (n, fields, d), vectors.dtype)
        _apart(d_inputs.numpy(), d_vectors.view(n, -1).numpy(), d_products.numpy())
        d_vectors.baddbmm_(d_products, vectors)  # each product is of two vectors
        return join(d_logit, d_vectors.view(n, -1), fields, self.scratch)


@compiled
def _side_by_side(vectors, products, inputs):  # type: ignore[no-untyped-def]
    """The vectors, and the products above the diagonal, row by row."""
    n, width = vectors.shape
    fields = products.shape[1]
    for i in range(n):
        for j in range(width):
            inputs[i, j] = vectors[i, j]
        at = width
        for left in range(fields):
            for right in range(left + 1, fields):
                inputs[i, at] = products[i, left, right]
                at += 1


@compiled
def _apart(d_inputs, d_vectors, d_products):  # type: ignore[no-untyped-def]
    """The gradients of what `_side_by_side` put side by side; that of a product on both sides of the diagonal."""
    n, width = d_vectors.shape
    fields = d_products.shape[1]
    for i in range(n):
        for j in range(width):
            d_vectors[i, j] = d_inputs[i, j]
        at = width
        for left in range(fields):
            d_products[i, left, left] = 0.0
            for right in range(left + 1, fields):
                d_products[i, left, right] = d_products[i, right, left] = d_inputs[i, at]
                at += 1
