"""Deep & Cross network."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from reloop_stream.config import ModelConfig
from reloop_stream.models.base import CtrModel
from reloop_stream.models.perceptron import Perceptron
from reloop_stream.models.vectors import join, put_bias, split

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

    def keep_cross(self, number: int, first: Tensor, x: Tensor, out: Tensor) -> Any:
        """Cross layer `number` by hand, into `out`; and what `cross_gradient` needs."""
        along = torch.mv(x, self.cross_weight[number])
        torch.mul(first, along[:, None], out=out).add_(self.cross_bias[number]).add_(x)
        return along

    def cross_gradient(
        self,
        first: Tensor,
        x: Tensor,
        kept: Any,
        d: Tensor,
        d_first: Tensor,
        d_weight: Tensor,
        d_bias: Tensor,
        number: int,
    ) -> None:
        """From the gradient with respect to the layer's values, d, to that with respect to its input, in its place; that
        with respect to the first input is added to d_first."""
        torch.sum(d, 0, out=d_bias)
        d_along = (d * first).sum(1)
        torch.mv(x.T, d_along, out=d_weight)
        d_first.addcmul_(d, kept[:, None])
        d.addr_(d_along, self.cross_weight[number])

    def forward(self, x: Tensor) -> Tensor:
        first = crossed = x[:, :, :-1].flatten(1)
        for weight, bias in zip(self.cross_weight, self.cross_bias, strict=True):
            crossed = self.cross(first, crossed, weight, bias)
        # One linear map of [crossed, hidden] (Eq. 6), written as two.
        return self.first_order(x) + self.output(crossed).squeeze(1) + self.layers(first).squeeze(1)

    def keep(self, x: Tensor) -> tuple[Tensor, tuple[Any, ...]]:
        first_order, vectors = split(x, self.scratch)
        layers, crossed = [], vectors
        for number in range(len(self.cross_weight)):
            out = self.scratch.take(f"crossed {number}", (*vectors.shape,), x.dtype)
            layers.append((crossed, self.keep_cross(number, vectors, crossed, out)))
            crossed = out
        deep, of_deep = self.layers.keep(vectors)
        logit = torch.addmm(deep, crossed, self.output.weight.T).squeeze(1) + first_order + self.bias
        return logit, (vectors, layers, crossed, of_deep)

    def gradient(self, d_logit: Tensor, kept: tuple[Any, ...]) -> Tensor:
        vectors, layers, crossed, of_deep = kept
        of_weight, of_bias, of_output = self.cross_weight.grad, self.cross_bias.grad, self.output.weight.grad
        assert of_weight is not None and of_bias is not None and of_output is not None
        put_bias(self.bias, d_logit)
        torch.mm(d_logit[None], crossed, out=of_output)
        d = self.scratch.take("d_crossed", (*crossed.shape,), crossed.dtype)
        torch.mul(d_logit[:, None], self.output.weight, out=d)
        d_vectors = self.layers.gradient(d_logit[:, None], of_deep)
        for number, (x, of_cross) in reversed([*enumerate(layers)]):
            self.cross_gradient(vectors, x, of_cross, d, d_vectors, of_weight[number], of_bias[number], number)
        return join(d_logit, d_vectors.add_(d), self.n_fields, self.scratch)
