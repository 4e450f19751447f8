"""DeepFM."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from reloop_stream.config import ModelConfig
from reloop_stream.models.base import CtrModel, fm_combine, fm_parts, wide_and_vectors

__all__ = ["DeepFM", "hidden_layers"]

ROWS_AT_ONCE = 3000  # candidates scored together: their hidden layer, some hundred KiB, stays in a core's cache


def hidden_layers(n_inputs: int, config: ModelConfig) -> nn.ModuleList:
    """The linear maps of a multi-layer perceptron: into each hidden layer, then into one output without bias."""
    widths = [n_inputs, *config.hidden]
    layers = [nn.Linear(a, b) for a, b in itertools.pairwise(widths)]
    return nn.ModuleList([*layers, nn.Linear(widths[-1], 1, bias=False)])


class DeepFM(CtrModel):
    """A factorization machine and a deep network on the same embeddings, added (Guo et al. 2017, "DeepFM", Eq. 1).

    The first layer is linear in the fields' embeddings, so each side's share of it can be computed once.
    """

    def __init__(self, config: ModelConfig, n_fields: int, base_rate: float) -> None:
        super().__init__(config, n_fields, base_rate)
        self.layers = hidden_layers(n_fields * config.embedding, config)
        self.dropout = nn.Dropout(config.dropout) if config.dropout else nn.Identity()

    def _deep(self, hidden: Tensor) -> Tensor:
        """From the first layer's values before activation, which are overwritten, to the output [..., 1]."""
        for layer in list(self.layers)[1:]:
            hidden = layer(self.dropout(torch.relu_(hidden)))
        return hidden

    def forward(self, x: Tensor) -> Tensor:
        wide, vectors = wide_and_vectors(x)
        return wide + self._deep(self.layers[0](vectors)).squeeze(1) + self.bias

    def partial(self, x: Tensor, fields: Sequence[int], with_bias: bool) -> Tensor:
        first = self.layers[0]
        assert isinstance(first, nn.Linear)
        d = self.dimensions
        columns = torch.cat([torch.arange(f * d, (f + 1) * d) for f in fields]).to(x.device)
        bias = first.bias if with_bias else None
        hidden = nn.functional.linear(x[:, :, :-1].flatten(1), first.weight[:, columns], bias)
        parts = fm_parts(x)
        if with_bias:
            parts[:, 0] += self.bias
        return torch.cat((parts, hidden), 1)

    def combine(self, requests: Tensor, items: Tensor, candidates: Tensor) -> Tensor:
        split = 1 + self.dimensions
        wide, hidden = items[:, :split].contiguous(), items[:, split:].contiguous()
        n, k = candidates.shape
        logits = torch.empty(n, k, device=items.device)
        step = max(1, ROWS_AT_ONCE // k)
        for at in range(0, n, step):
            some, shown = slice(at, at + step), candidates[at : at + step]
            first = nn.functional.embedding(shown, hidden).add_(requests[some, None, split:])
            crossed = fm_combine(requests[some, :split], nn.functional.embedding(shown, wide))
            torch.add(crossed, self._deep(first).squeeze(2), out=logits[some])
        return logits
