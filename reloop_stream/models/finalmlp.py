"""FinalMLP."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from reloop_stream.config import ModelConfig
from reloop_stream.models.base import CtrModel, in_passes
from reloop_stream.models.perceptron import Perceptron

__all__ = ["FinalMLP"]


class FinalMLP(CtrModel):
    """Two deep networks on gated embeddings, fused by bilinear forms in heads (Mao et al. 2023, "FinalMLP",
    "Stream-specific feature selection" and "Stream-level interaction aggregation").

    The fusion is w1·o1 + w2·o2 + the sum over heads of o1_h·W_h·o2_h. Each stream multiplies its inputs by gates 2σ(a). The paper computes a from some context features, or from learnt
    vectors where there are none; here a is learnt for each stream and begins at 0, so every gate begins at 1: which fields
    are a user's or an item's is not the model's to know. Both streams have the layers of `hidden`, and differ by their
    first weights.
    """

    def __init__(self, config: ModelConfig, n_fields: int, base_rate: float) -> None:
        super().__init__(config, n_fields, base_rate)
        width, units = n_fields * config.embedding, config.hidden[-1]
        self.gates = nn.Parameter(torch.zeros(2, n_fields, config.embedding))
        self.streams = nn.ModuleList([Perceptron(width, config, output=False) for _ in range(2)])
        self.linear = nn.ModuleList([nn.Linear(units, 1, bias=False) for _ in range(2)])
        of_a_head = units // config.heads
        self.bilinear = nn.Parameter(torch.randn(config.heads, of_a_head, of_a_head) / of_a_head)

    def forward(self, x: Tensor) -> Tensor:
        first = self._first_layers(x, range(self.n_fields), with_bias=True)
        return self.first_order(x) + self._fuse(first)

    def _first_layers(self, x: Tensor, fields: Sequence[int], with_bias: bool) -> list[Tensor]:
        gated = x[:, :, :-1] * (2 * torch.sigmoid(self.gates[:, None, fields]))  # [2, m, fields, d]
        return [
            stream.first_layer(vectors, fields, with_bias) for stream, vectors in zip(self.streams, gated, strict=True)
        ]

    def _fuse(self, first: Sequence[Tensor]) -> Tensor:
        """The streams' first layers before activation, [..., units] each, to the fused output [...]."""
        outputs = [
            stream.activate(stream.after_first(hidden)) for stream, hidden in zip(self.streams, first, strict=True)
        ]
        heads = len(self.bilinear)
        left, right = (output.unflatten(-1, (heads, -1)) for output in outputs)
        fused = torch.einsum("...hi,hij,...hj->...", left, self.bilinear, right)
        for linear, output in zip(self.linear, outputs, strict=True):
            fused = fused + linear(output).squeeze(-1)
        return fused

    def partial(self, x: Tensor, fields: Sequence[int], with_bias: bool) -> Tensor:
        wide = self.first_order(x, with_bias)
        return torch.cat((wide[:, None], *self._first_layers(x, fields, with_bias)), 1)

    def combine(self, requests: Tensor, items: Tensor, candidates: Tensor) -> Tensor:
        def score(some: slice) -> Tensor:
            both = nn.functional.embedding(candidates[some], items).add_(requests[some, None])
            one, other = both[:, :, 1:].chunk(2, 2)
            return both[:, :, 0] + self._fuse([one, other])

        return in_passes(score, candidates)
