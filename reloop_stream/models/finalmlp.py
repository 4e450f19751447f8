"""FinalMLP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from reloop_stream.config import ModelConfig
from reloop_stream.models.base import CtrModel, in_passes
from reloop_stream.models.perceptron import Perceptron, rectified_gradient
from reloop_stream.models.vectors import join, put_bias, split

__all__ = ["FinalMLP"]


class FinalMLP(CtrModel):
    """Two deep networks on gated embeddings, fused by bilinear forms in heads (Mao et al. 2023, "FinalMLP",
    "Stream-specific feature selection" and "Stream-level interaction aggregation").

    The fusion of outputs o1 and o2 is w1·o1 + w2·o2 + the sum over heads h of o1_h·W_h·o2_h. Each stream multiplies its
    inputs by gates 2σ(a). The paper computes a from some context features, or from learnt vectors where there are none.
    Which fields are a user's or an item's is not the model's to know: so a is learnt, a number for each stream and input,
    and begins at 0, where every gate is 1. Both streams have the layers of `hidden` and differ by their first weights.
    """

    def __init__(self, config: ModelConfig, n_fields: int, base_rate: float) -> None:
        super().__init__(config, n_fields, base_rate)
        width, units = n_fields * config.embedding, config.hidden[-1]
        self.gates = nn.Parameter(torch.zeros(2, n_fields, config.embedding))
        self.one, self.other = (Perceptron(width, config, output=False) for _ in range(2))
        self.linear = nn.Linear(2 * units, 1, bias=False)
        of_a_head = units // config.heads
        self.bilinear = nn.Parameter(torch.randn(config.heads, of_a_head, of_a_head) / of_a_head)

    def forward(self, x: Tensor) -> Tensor:
        of_one, of_other = self._gated(x, range(self.n_fields))
        fused = self._fuse(self.one.first(of_one.flatten(1)), self.other.first(of_other.flatten(1)))
        return self.first_order(x) + fused

    def _gated(self, x: Tensor, fields: Sequence[int]) -> Tensor:
        """The inputs of both streams, [2, m, fields, d]."""
        return x[:, :, :-1] * (2 * torch.sigmoid(self.gates[:, None, fields]))

    def _fuse(self, one: Tensor, other: Tensor) -> Tensor:
        """From the streams' first layers before activation, [..., units] each, to the fused output [...]."""
        one, other = (
            stream.activate(stream.after_first(hidden), stream[-1])
            for stream, hidden in ((self.one, one), (self.other, other))
        )
        heads = len(self.bilinear)
        left, right = (output.reshape(*output.shape[:-1], heads, -1) for output in (one, other))
        fused = torch.einsum("...hi,hij,...hj->...", left, self.bilinear, right)
        return fused + self.linear(torch.cat((one, other), -1)).squeeze(-1)

    def keep(self, x: Tensor) -> tuple[Tensor, tuple[Any, ...]]:
        first, vectors = split(x, self.scratch)
        gates = 2 * torch.sigmoid(self.gates.flatten(1))
        streams, heads = [], []
        for stream, gate in zip((self.one, self.other), gates, strict=True):
            inputs = stream.scratch.take("gated", (*vectors.shape,), x.dtype)
            values, kept = stream.keep(torch.mul(vectors, gate, out=inputs))
            streams.append((torch.relu_(values), kept))
            heads.append(values.view(len(x), len(self.bilinear), -1).transpose(0, 1))  # [heads, n, units of a head]
        mapped = torch.bmm(heads[0], self.bilinear)
        linear = torch.cat([values for values, _ in streams], 1) @ self.linear.weight[0]
        logit = (mapped * heads[1]).sum((0, 2)) + linear + first + self.bias
        return logit, (vectors, gates, streams, heads, mapped)

    def gradient(self, d_logit: Tensor, kept: tuple[Any, ...]) -> Tensor:
        vectors, gates, streams, (left, right), mapped = kept
        of_gates, of_bilinear, of_linear = self.gates.grad, self.bilinear.grad, self.linear.weight.grad
        assert of_gates is not None and of_bilinear is not None and of_linear is not None
        put_bias(self.bias, d_logit)
        torch.mm(d_logit[None], torch.cat([values for values, _ in streams], 1), out=of_linear)
        d_mapped = right * d_logit[:, None]
        torch.bmm(left.transpose(1, 2), d_mapped, out=of_bilinear)
        of_heads = torch.bmm(d_mapped, self.bilinear.transpose(1, 2)), mapped * d_logit[:, None]
        d_vectors = self.scratch.take("d_vectors", (*vectors.shape,), vectors.dtype).zero_()
        parts = zip(
            (self.one, self.other), streams, of_heads, self.linear.weight[0].chunk(2), gates, of_gates, strict=True
        )
        for stream, (values, of_stream), of_head, linear, gate, of_gate in parts:
            d_values = of_head.transpose(0, 1).reshape(values.shape).addr_(d_logit, linear)
            rectified_gradient(d_values, values)
            d_inputs = stream.gradient(d_values, of_stream)
            d_vectors.addcmul_(d_inputs, gate)
            # The derivative of 2σ(a) is 2σ(a)·(1 - σ(a)).
            of_gate.view(-1).copy_((d_inputs * vectors).sum(0) * gate * (1 - gate / 2))
        return join(d_logit, d_vectors, self.n_fields, self.scratch)

    def partial(self, x: Tensor, fields: Sequence[int], with_bias: bool) -> Tensor:
        of_one, of_other = self._gated(x, fields)
        one = self.one.first_layer(of_one, fields, with_bias)
        other = self.other.first_layer(of_other, fields, with_bias)
        return torch.cat((self.first_order(x, with_bias)[:, None], one, other), 1)

    def combine(self, requests: Tensor, items: Tensor, candidates: Tensor) -> Tensor:
        def score(some: slice) -> Tensor:
            both = nn.functional.embedding(candidates[some], items).add_(requests[some, None])
            return both[:, :, 0] + self._fuse(*both[:, :, 1:].chunk(2, 2))

        return in_passes(score, candidates)
