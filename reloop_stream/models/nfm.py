"""Neural factorization machine."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from reloop_stream.config import ModelConfig
from reloop_stream.models.base import CtrModel, in_passes
from reloop_stream.models.perceptron import Perceptron

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
