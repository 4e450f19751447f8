"""Logistic regression."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from reloop_stream.config import ModelConfig
from reloop_stream.models.base import CtrModel
from reloop_stream.models.vectors import put_bias

__all__ = ["LR"]


class LR(CtrModel):
    """logit = bias + the sum of the fields' first-order weights (Richardson et al. 2007, "Predicting clicks", Eq. 2)."""

    @staticmethod
    def embedding_of(config: ModelConfig) -> int:
        return 0

    def forward(self, x: Tensor) -> Tensor:
        return self.first_order(x)

    def keep(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.first_order(x), self.scratch.take("d_x", (*x.shape,), x.dtype)

    def gradient(self, d_logit: Tensor, kept: Tensor) -> Tensor:
        put_bias(self.bias, d_logit)
        return kept.copy_(d_logit[:, None, None])

    def partial(self, x: Tensor, fields: Sequence[int], with_bias: bool) -> Tensor:
        return self.first_order(x, with_bias)[:, None]

    def combine(self, requests: Tensor, items: Tensor, candidates: Tensor) -> Tensor:
        return requests + items[:, 0][candidates]
