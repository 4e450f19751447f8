"""DeepFM."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from reloop_stream.config import ModelConfig
from reloop_stream.models.base import CtrModel, fm_combine, fm_parts, pairwise

__all__ = ["DeepFM", "hidden_layers"]


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
        """From the first layer's values before activation to the output [..., 1]."""
        for layer in list(self.layers)[1:]:
            hidden = layer(self.dropout(torch.relu(hidden)))
        return hidden

    def forward(self, x: Tensor) -> Tensor:
        vectors = x[:, :, :-1]
        deep = (
            self._deep(self.layers[0](vectors.flatten(1)))
            if len(self.layers) > 1
            else self.layers[0](vectors.flatten(1))
        )
        return x[:, :, -1].sum(1) + pairwise(vectors) + deep.squeeze(1) + self.bias

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
        gathered = items[candidates]
        wide = fm_combine(requests[:, :split], gathered[:, :, :split])
        hidden = gathered[:, :, split:] + requests[:, None, split:]
        return wide + self._deep(hidden).squeeze(2)
