"""Wide & Deep."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from reloop_stream.config import ModelConfig
from reloop_stream.models.base import CtrModel, in_passes
from reloop_stream.models.fm_kernels import fm_combine
from reloop_stream.models.perceptron import Perceptron
from reloop_stream.models.scoring_kernels import deep_scores, parts_of_rows
from reloop_stream.models.vectors import join, put_bias, split

__all__ = ["WideDeep"]


class WideDeep(CtrModel):
    """First-order weights and a deep network, added (Cheng et al. 2016, "Wide & deep learning", Eq. 3).

    The paper's wide part takes cross-product features too: log those that matter as fields of their own. The first layer
    is linear in the fields' embeddings, so each side's share of it can be computed once.
    """

    crosses = False  # whether the wide part has the products of pairs of fields

    def __init__(self, config: ModelConfig, n_fields: int, base_rate: float) -> None:
        super().__init__(config, n_fields, base_rate)
        self.layers = Perceptron(n_fields * config.embedding, config)

    def forward(self, x: Tensor) -> Tensor:
        return self.first_order(x) + self.layers(x[:, :, :-1].flatten(1)).squeeze(1)

    def keep(self, x: Tensor) -> tuple[Tensor, Any]:
        first, vectors = split(x, self.scratch)
        deep, kept = self.layers.keep(vectors)
        return deep.squeeze(1) + first + self.bias, kept

    def gradient(self, d_logit: Tensor, kept: Any) -> Tensor:
        put_bias(self.bias, d_logit)
        return join(d_logit, self.layers.gradient(d_logit[:, None], kept), self.n_fields, self.scratch)

    def wide_parts(self, x: Tensor) -> Tensor:
        """What `fm_combine` adds up, without the bias: [m, 1 + d]; here without pairs, d = 0."""
        return self.first_order(x, with_bias=False)[:, None]

    def partial(self, x: Tensor, fields: Sequence[int], with_bias: bool) -> Tensor:
        parts = self.wide_parts(x)
        if with_bias:
            parts[:, 0] += self.bias
        return torch.cat((parts, self.layers.first_layer(x[:, :, :-1], fields, with_bias)), 1)

    def parts_of_rows(self, table: Tensor, slots: np.ndarray, fields: Sequence[int], with_bias: bool) -> Tensor:
        weight = self.layers.columns_of(fields, self.dimensions).T.contiguous()
        bias = torch.cat((self.bias[None], self.layers.first.bias))
        return parts_of_rows(table, slots, self.crosses, weight, bias if with_bias else torch.zeros_like(bias))

    def combine(self, requests: Tensor, items: Tensor, candidates: Tensor) -> Tensor:
        n_wide = items.shape[1] - self.layers.first.out_features
        if items.device.type == "cpu" and self.layers.is_plain:
            return deep_scores(requests, items, candidates, n_wide, self.layers.linear[1:])
        wide, hidden = items[:, :n_wide].contiguous(), items[:, n_wide:].contiguous()

        def score(some: slice) -> Tensor:
            shown = candidates[some]
            first = nn.functional.embedding(shown, hidden).add_(requests[some, None, n_wide:])
            crossed = fm_combine(requests[some, :n_wide], nn.functional.embedding(shown, wide))
            return crossed + self.layers.after_first(first).squeeze(2)

        return in_passes(score, candidates)
