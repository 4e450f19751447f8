"""Logistic regression."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from reloop_stream.config import ModelConfig
from reloop_stream.models.base import CtrModel

__all__ = ["LR"]


class LR(CtrModel):
    """logit = bias + the sum of the fields' first-order weights (Richardson et al. 2007, "Predicting clicks", Eq. 2)."""

    @staticmethod
    def embedding_of(config: ModelConfig) -> int:
        return 0

    def forward(self, x: Tensor) -> Tensor:
        return self.first_order(x)

    def partial(self, x: Tensor, fields: Sequence[int], with_bias: bool) -> Tensor:
        return self.first_order(x, with_bias)[:, None]

    def combine(self, requests: Tensor, items: Tensor, candidates: Tensor) -> Tensor:
        return requests + items[:, 0][candidates]
