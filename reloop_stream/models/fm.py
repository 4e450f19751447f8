"""Factorization machine."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from reloop_stream.models.base import CtrModel
from reloop_stream.models.fm_kernels import fm_parts, wide_and_vectors
from reloop_stream.models.scoring_kernels import fm_scores

__all__ = ["FM"]


class FM(CtrModel):
    """logit = bias + first order + inner products of all pairs of embeddings (Rendle 2010, "Factorization machines", Eq. 1)."""

    def forward(self, x: Tensor) -> Tensor:
        return wide_and_vectors(x)[0] + self.bias

    def partial(self, x: Tensor, fields: Sequence[int], with_bias: bool) -> Tensor:
        parts = fm_parts(x)
        if with_bias:
            parts[:, 0] += self.bias
        return parts

    def combine(self, requests: Tensor, items: Tensor, candidates: Tensor) -> Tensor:
        return fm_scores(requests, items, candidates)
