"""Factorization machines' sums and gradients, in torch and compiled: the blocks that fm, deepfm and others share."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from reloop_stream.models.scratch import Scratch
from reloop_stream.runtime.compiled import compiled

__all__ = ["Parts", "fm_combine", "fm_parts", "gradient_of_parts", "keep_parts", "wide_and_vectors"]


class _WideAndVectors(torch.autograd.Function):
    """Its gradient by hand: autograd would go over an array of x's size a dozen times. numba on the CPU, else torch."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        wide, total, vectors = _forward(x.detach())
        ctx.save_for_backward(x, total)
        return wide, vectors.flatten(1)

    @staticmethod
    def backward(ctx: Any, of_wide: Tensor, of_vectors: Tensor) -> Tensor:
        x, total = ctx.saved_tensors
        gradient_of = gradient_in_numba if x.device.type == "cpu" else gradient_in_torch
        return gradient_of(x, total, of_wide, of_vectors.reshape(*x.shape[:2], -1))


def _forward(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return forward_in_numba(x) if x.device.type == "cpu" else forward_in_torch(x)


def forward_in_torch(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """First-order sum plus pairs [n], sum of the vectors [n, d], the vectors [n, fields, d].

    Pairs are the inner products of all pairs of fields: half of the squared sum less the sum of squares (Rendle 2010,
    "Factorization machines", Lemma 3.1).
    """
    vectors = x[:, :, :-1].contiguous()
    total = vectors.sum(1)
    return x[:, :, -1].sum(1) + 0.5 * (total.square().sum(1) - vectors.square().sum((1, 2))), total, vectors


def forward_in_numba(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The same as `forward_in_torch`, in one pass."""
    n, fields, width = x.shape
    wide, total, vectors = x.new_empty(n), x.new_empty(n, width - 1), x.new_empty(n, fields, width - 1)
    _wide_and_vectors(x.contiguous().numpy(), wide.numpy(), total.numpy(), vectors.numpy(), (0,) * (width - 1))
    return wide, total, vectors


def gradient_in_torch(x: Tensor, total: Tensor, of_wide: Tensor, of_vectors: Tensor) -> Tensor:
    """The gradient with respect to x: pairs give each vector the sum of the other fields' vectors."""
    gradient = (total[:, None] - x[:, :, :-1]) * of_wide[:, None, None] + of_vectors
    return torch.cat((gradient, of_wide[:, None, None].expand(-1, x.shape[1], 1)), 2)


def gradient_in_numba(x: Tensor, total: Tensor, of_wide: Tensor, of_vectors: Tensor) -> Tensor:
    """The same as `gradient_in_torch`, in one pass."""
    gradient = torch.empty_like(x, memory_format=torch.contiguous_format)
    arrays = (tensor.contiguous().numpy() for tensor in (x, total, of_wide, of_vectors))
    _gradient_of_wide_and_vectors(*arrays, gradient.numpy(), (0,) * total.shape[1])
    return gradient


@compiled
def _wide_and_vectors(x, wide, total, vectors, dimensions):  # type: ignore[no-untyped-def]
    """vectors: None where nobody wants them. dimensions: d of anything, a length that the compiler knows: it then keeps sums in
    registers."""
    n, fields, width = x.shape
    half = x.dtype.type(0.5)
    for i in range(n):
        first = x.dtype.type(0.0)
        for f in range(fields):
            if vectors is not None:
                for j in range(len(dimensions)):
                    vectors[i, f, j] = x[i, f, j]
            first += x[i, f, width - 1]
        pairs = x.dtype.type(0.0)
        for j in range(len(dimensions)):
            summed, squares = x.dtype.type(0.0), x.dtype.type(0.0)
            for f in range(fields):
                value = x[i, f, j]
                summed += value
                squares += value * value
            total[i, j] = summed
            pairs += summed * summed - squares
        wide[i] = first + half * pairs


@compiled
def _gradient_of_wide_and_vectors(x, total, of_wide, of_vectors, gradient, dimensions):  # type: ignore[no-untyped-def]
    """of_vectors: None for zeros. dimensions: as above."""
    n, fields, _ = x.shape
    d = len(dimensions)
    for i in range(n):
        g = of_wide[i]
        for f in range(fields):
            for j in range(len(dimensions)):
                value = g * (total[i, j] - x[i, f, j])
                gradient[i, f, j] = value if of_vectors is None else value + of_vectors[i, f, j]
            gradient[i, f, d] = g


def wide_and_vectors(x: Tensor) -> tuple[Tensor, Tensor]:
    """The first-order sum plus the inner products of all pairs, [n], and the vectors side by side, [n, fields · d]."""
    wide, vectors = _WideAndVectors.apply(x)
    return wide, vectors


class Parts(NamedTuple):
    """What a step of a factorization machine keeps: first-order sum plus pairs [n], sum of the vectors [n, d], and x."""

    wide: Tensor
    total: Tensor
    x: Tensor


def keep_parts(x: Tensor, scratch: Scratch, vectors: Tensor | None = None) -> Parts:
    """`wide_and_vectors` by hand. vectors: where these shall lie side by side, [n, fields · d]."""
    n, fields, width = x.shape
    x, d = x.contiguous(), width - 1
    wide, total = scratch.take("wide", (n,), x.dtype), scratch.take("total", (n, d), x.dtype)
    copies = None if vectors is None else vectors.view(n, fields, d).numpy()
    _wide_and_vectors(x.numpy(), wide.numpy(), total.numpy(), copies, (0,) * d)
    return Parts(wide, total, x)


def gradient_of_parts(parts: Parts, d_wide: Tensor, d_vectors: Tensor | None = None) -> Tensor:
    """The gradient with respect to x, in its place, from that with respect to `wide` and, where more is made of them, to the
    vectors [n, fields · d]."""
    n, fields, width = parts.x.shape
    d, x = width - 1, parts.x.numpy()
    of_vectors = None if d_vectors is None else d_vectors.view(n, fields, d).numpy()
    _gradient_of_wide_and_vectors(x, parts.total.numpy(), d_wide.contiguous().numpy(), of_vectors, x, (0,) * d)
    return parts.x


def fm_parts(x: Tensor) -> Tensor:
    """[m, 1 + d]: first-order terms and pairs within these fields, then the sum of their vectors. Without gradient."""
    wide, total, _ = _forward(x)
    return torch.cat((wide[:, None], total), 1)


def fm_combine(requests: Tensor, items: Tensor) -> Tensor:
    """[R, K] from request parts [R, 1 + d] and gathered item parts [R, K, 1 + d]: cross pairs are one inner product."""
    cross = torch.matmul(items[:, :, 1:], requests[:, 1:, None]).squeeze(2)
    return cross + items[:, :, 0] + requests[:, :1]
