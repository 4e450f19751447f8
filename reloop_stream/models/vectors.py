"""A batch's embeddings → first-order sums and vectors side by side, and the gradient back: where hand-written steps begin."""

from __future__ import annotations

import torch
from torch import Tensor

from reloop_stream.models.scratch import Scratch
from reloop_stream.runtime.compiled import compiled

__all__ = ["join", "put_bias", "split"]


def split(x: Tensor, scratch: Scratch) -> tuple[Tensor, Tensor]:
    """The sum of the first-order weights, [n], and the vectors side by side, [n, fields · d], from [n, fields, d + 1]."""
    n, fields, width = x.shape
    first, vectors = scratch.take("first", (n,), x.dtype), scratch.take("vectors", (n, fields * (width - 1)), x.dtype)
    _split(x.contiguous().numpy(), first.numpy(), vectors.numpy())
    return first, vectors


def join(d_first: Tensor, d_vectors: Tensor, fields: int, scratch: Scratch) -> Tensor:
    """The gradient with respect to x, [n, fields, d + 1], from those with respect to what `split` gave."""
    n, inputs = d_vectors.shape
    d_x = scratch.take("d_x", (n, fields, inputs // fields + 1), d_vectors.dtype)
    _join(d_first.contiguous().numpy(), d_vectors.contiguous().numpy(), d_x.numpy())
    return d_x


def put_bias(bias: torch.nn.Parameter, d_logit: Tensor) -> None:
    """The gradient of what is added to every logit."""
    assert bias.grad is not None
    torch.sum(d_logit, 0, out=bias.grad)


@compiled
def _split(x, first, vectors):  # type: ignore[no-untyped-def]
    n, fields, width = x.shape
    d = width - 1
    for i in range(n):
        total = x.dtype.type(0.0)
        for f in range(fields):
            for j in range(d):
                vectors[i, f * d + j] = x[i, f, j]
            total += x[i, f, d]
        first[i] = total


@compiled
def _join(d_first, d_vectors, d_x):  # type: ignore[no-untyped-def]
    n, fields, width = d_x.shape
    d = width - 1
    for i in range(n):
        for f in range(fields):
            for j in range(d):
                d_x[i, f, j] = d_vectors[i, f * d + j]
            d_x[i, f, d] = d_first[i]
