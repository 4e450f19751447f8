"""Neural factorization machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from reloop_stream.config import ModelConfig
from reloop_stream.models.base import CtrModel, in_passes
from reloop_stream.models.perceptron import Perceptron
from reloop_stream.models.vectors import put_bias
from reloop_stream.runtime.compiled import compiled

__all__ = ["NFM"]


class NFM(CtrModel):
    """A deep network on the sum of all pairs' elementwise products (He and Chua 2017, "Neural factorization machines", Eq. 4-7).

    Dropout is in the hidden layers alone, not on the pooled pairs.
    """

    def __init__(self, config: ModelConfig, n_fields: int, base_rate: float) -> None:
        super().__init__(config, n_fields, base_rate)
        self.layers = Perceptron(config.embedding, config)

    def forward(self, x: Tensor) -> Tensor:
        _, pooled = _pool(x)
        return self.first_order(x) + self.layers(pooled).squeeze(1)

    def keep(self, x: Tensor) -> tuple[Tensor, tuple[Any, ...]]:
        n, d = len(x), self.dimensions
        first = self.scratch.take("first", (n,), x.dtype)
        total, pooled = (self.scratch.take(name, (n, d), x.dtype) for name in ("total", "pooled"))
        x = x.contiguous()
        _pool_rows(x.numpy(), first.numpy(), total.numpy(), pooled.numpy())
        deep, kept = self.layers.keep(pooled)
        return deep.squeeze(1) + first + self.bias, (x, total, kept)

    def gradient(self, d_logit: Tensor, kept: tuple[Any, ...]) -> Tensor:
        x, total, of_deep = kept
        put_bias(self.bias, d_logit)
        d_pooled = self.layers.gradient(d_logit[:, None], of_deep)
        d_x = self.scratch.take("d_x", (*x.shape,), x.dtype)
        _gradient_of_pool(x.numpy(), total.numpy(), d_logit.contiguous().numpy(), d_pooled.numpy(), d_x.numpy())
        return d_x

    def partial(self, x: Tensor, fields: Sequence[int], with_bias: bool) -> Tensor:
        return torch.cat((self.first_order(x, with_bias)[:, None], *_pool(x)), 1)

    def combine(self, requests: Tensor, items: Tensor, candidates: Tensor) -> Tensor:
        d = self.dimensions

        def score(some: slice) -> Tensor:
            shown, mine = nn.functional.embedding(candidates[some], items), requests[some, None]
            both = shown + mine
            pooled = both[:, :, 1 + d :] + shown[:, :, 1 : 1 + d] * mine[:, :, 1 : 1 + d]
            return both[:, :, 0] + self.layers(pooled).squeeze(2)

        return in_passes(score, candidates)


def _pool(x: Tensor) -> tuple[Tensor, Tensor]:
    """The sum of the vectors, and the sum of all pairs' elementwise products (Eq. 4), each [n, d]."""
    vectors = x[:, :, :-1]
    total = vectors.sum(1)
    return total, 0.5 * (total.square() - vectors.square().sum(1))


@compiled
def _pool_rows(x, first, total, pooled):  # type: ignore[no-untyped-def]
    """`_pool` and the sum of the first-order weights, in one pass."""
    n, fields, width = x.shape
    d = width - 1
    half = x.dtype.type(0.5)
    for i in range(n):
        first[i] = 0.0
        total[i] = 0.0
        pooled[i] = 0.0
        for f in range(fields):
            for j in range(d):
                value = x[i, f, j]
                total[i, j] += value
                pooled[i, j] += value * value
            first[i] += x[i, f, d]
        for j in range(d):
            pooled[i, j] = half * (total[i, j] * total[i, j] - pooled[i, j])


@compiled
def _gradient_of_pool(x, total, d_first, d_pooled, d_x):  # type: ignore[no-untyped-def]
    n, fields, width = x.shape
    d = width - 1
    for i in range(n):
        for f in range(fields):
            for j in range(d):
                d_x[i, f, j] = d_pooled[i, j] * (total[i, j] - x[i, f, j])
            d_x[i, f, d] = d_first[i]
