"""Factorization machine."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from reloop_stream.models.base import CtrModel
from reloop_stream.models.fm_kernels import Parts, fm_parts, gradient_of_parts, keep_parts, wide_and_vectors
from reloop_stream.models.scoring_kernels import fm_scores, parts_of_rows
from reloop_stream.models.vectors import put_bias

__all__ = ["FM"]


class FM(CtrModel):
    """logit = bias + first order + inner products of all pairs of embeddings (Rendle 2010, "Factorization machines", Eq. 1)."""

    def forward(self, x: Tensor) -> Tensor:
        return wide_and_vectors(x)[0] + self.bias

    def keep(self, x: Tensor) -> tuple[Tensor, Parts]:
        parts = keep_parts(x, self.scratch)
        return parts.wide + self.bias, parts

    def gradient(self, d_logit: Tensor, kept: Parts) -> Tensor:
        put_bias(self.bias, d_logit)
        return gradient_of_parts(kept, d_logit)

    def partial(self, x: Tensor, fields: Sequence[int], with_bias: bool) -> Tensor:
        parts = fm_parts(x)
        if with_bias:
            parts[:, 0] += self.bias
        return parts

    def parts_of_rows(self, table: Tensor, slots: np.ndarray, fields: Sequence[int], with_bias: bool) -> Tensor:
        bias = self.bias[None] if with_bias else self.bias.new_zeros(1)
        return parts_of_rows(table, slots, True, table.new_empty(0, 0), bias)

    def combine(self, requests: Tensor, items: Tensor, candidates: Tensor) -> Tensor:
        return fm_scores(requests, items, candidates)
