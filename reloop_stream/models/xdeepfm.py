"""xDeepFM."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor, nn

from reloop_stream.config import ModelConfig
from reloop_stream.models.base import CtrModel
from reloop_stream.models.perceptron import Perceptron
from reloop_stream.models.vectors import join, put_bias, split
from reloop_stream.runtime.compiled import compiled

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
            maps = torch.einsum("hp,npd->nhd", weight, products.flatten(1, 2))
            sums.append(maps.sum(2))
        interactions = self.output(torch.cat(sums, 1)).squeeze(1)
        return self.first_order(x) + interactions + self.layers(vectors.flatten(1)).squeeze(1)

    def keep(self, x: Tensor) -> tuple[Tensor, tuple[Any, ...]]:
        """Maps and vectors lie the other way round here, [maps, n · d]: products are then of long rows, and a layer's maps
        one matrix times them."""
        n, d = len(x), self.dimensions
        first, vectors = split(x, self.scratch)
        fields = self._long_rows("fields", self.n_fields, vectors)
        fields.view(self.n_fields, n, d).copy_(vectors.view(n, self.n_fields, d).transpose(0, 1))
        maps, layers, sums = fields, [], []
        for number, weight in enumerate(self.map_weights):
            products = self._long_rows(f"products {number}", weight.shape[1], vectors)
            _products(maps.numpy(), fields.numpy(), products.numpy())
            layers.append((maps, products))
            maps = torch.mm(weight, products, out=self._long_rows(f"maps {number}", len(weight), vectors))
            sums.append(maps.view(-1, n, d).sum(2))
        deep, of_deep = self.layers.keep(vectors)
        summed = torch.cat(sums)  # [all maps, n]
        logit = torch.mv(summed.T, self.output.weight[0]) + first + deep.squeeze(1) + self.bias
        return logit, (fields, layers, summed, of_deep)

    def gradient(self, d_logit: Tensor, kept: tuple[Any, ...]) -> Tensor:
        fields, layers, summed, of_deep = kept
        n, d, of_output = len(d_logit), self.dimensions, self.output.weight.grad
        assert of_output is not None
        put_bias(self.bias, d_logit)
        torch.mv(summed, d_logit, out=of_output[0])
        d_vectors = self.layers.gradient(d_logit[:, None], of_deep)
        d_fields = self._long_rows("d_fields", self.n_fields, d_vectors).zero_()
        d_next: Tensor | None = None  # with respect to a layer's maps, from the next layer
        of_layers = zip(
            self.map_weights, layers, self.output.weight[0].split([len(w) for w in self.map_weights]), strict=True
        )
        for number, (weight, (maps, products), output) in reversed([*enumerate(of_layers)]):
            d_maps = self._long_rows(f"maps {number}", len(weight), d_vectors)  # whose values are needed no more
            d_maps.view(-1, n, d).copy_((output[:, None] * d_logit)[:, :, None])
            if d_next is not None:
                d_maps += d_next
            assert weight.grad is not None
            torch.mm(d_maps, products.T, out=weight.grad)
            d_products = torch.mm(weight.T, d_maps, out=products)
            d_next = self._long_rows(f"d_before {number}", len(maps), d_vectors).zero_()
            _gradient_of_products(maps.numpy(), fields.numpy(), d_products.numpy(), d_next.numpy(), d_fields.numpy())
        assert d_next is not None
        d_fields += d_next  # the first layer's maps are the vectors
        d_vectors.view(n, -1, d).add_(d_fields.view(-1, n, d).transpose(0, 1))
        return join(d_logit, d_vectors, self.n_fields, self.scratch)

    def _long_rows(self, name: str, rows: int, vectors: Tensor) -> Tensor:
        """Scratch [rows, n · d]."""
        return self.scratch.take(name, (rows, len(vectors) * self.dimensions), vectors.dtype)


@compiled
def _products(maps, fields, products):  # type: ignore[no-untyped-def]
    """Row h · fields + f: map h times field f."""
    for h in range(len(maps)):
        for f in range(len(fields)):
            for k in range(fields.shape[1]):
                products[h * len(fields) + f, k] = maps[h, k] * fields[f, k]


@compiled
def _gradient_of_products(maps, fields, d_products, d_maps, d_fields):  # type: ignore[no-untyped-def]
    """Added to the gradients of maps and fields."""
    for h in range(len(maps)):
        for f in range(len(fields)):
            for k in range(fields.shape[1]):
                d_product = d_products[h * len(fields) + f, k]
                d_maps[h, k] += d_product * fields[f, k]
                d_fields[f, k] += d_product * maps[h, k]
