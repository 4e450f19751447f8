"""Field-matrixed factorization machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from reloop_stream.config import ModelConfig
from reloop_stream.models.base import CtrModel
from reloop_stream.models.scoring_kernels import fm_scores
from reloop_stream.models.vectors import join, put_bias, split

__all__ = ["FmFM"]


class FmFM(CtrModel):
    """A factorization machine with a matrix between each pair of fields: v_i·M_ij·v_j (Sun et al. 2021, "FM²", Section 3).

    The matrices begin as identities, so it begins as a factorization machine.
    """

    def __init__(self, config: ModelConfig, n_fields: int, base_rate: float) -> None:
        super().__init__(config, n_fields, base_rate)
        self._pairs = torch.triu_indices(n_fields, n_fields, 1).unbind()
        self.matrices = nn.Parameter(torch.eye(config.embedding).repeat(len(self._pairs[0]), 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        left, right = self._pairs
        return self.first_order(x) + _pair_sum(x[:, left, :-1], x[:, right, :-1], self.matrices)

    def keep(self, x: Tensor) -> tuple[Tensor, tuple[Any, ...]]:
        first, vectors = split(x, self.scratch)
        d, logit, steps = self.dimensions, first + self.bias, []
        for field in range(self.n_fields - 1):
            # All pairs of one left field are one product, and their right vectors lie side by side.
            matrices = self.matrices[self._pairs_of(field)].permute(1, 0, 2).reshape(d, -1)
            mapped = self.scratch.take(f"mapped {field}", (len(x), matrices.shape[1]), x.dtype)
            torch.mm(vectors[:, field * d : (field + 1) * d], matrices, out=mapped)
            logit += (mapped * vectors[:, (field + 1) * d :]).sum(1)
            steps.append((matrices, mapped))
        return logit, (vectors, steps)

    def gradient(self, d_logit: Tensor, kept: tuple[Any, ...]) -> Tensor:
        vectors, steps = kept
        d, of_matrices = self.dimensions, self.matrices.grad
        assert of_matrices is not None
        put_bias(self.bias, d_logit)
        d_vectors = self.scratch.take("d_vectors", (*vectors.shape,), vectors.dtype).zero_()
        pulled = torch.mul(vectors, d_logit[:, None], out=self.scratch.take("pulled", (*vectors.shape,), vectors.dtype))
        for field, (matrices, mapped) in enumerate(steps):
            left, right = slice(field * d, (field + 1) * d), slice((field + 1) * d, None)
            d_vectors[:, right].addcmul_(mapped, d_logit[:, None])
            d_vectors[:, left].addmm_(pulled[:, right], matrices.T)
            of_field = torch.mm(vectors[:, left].T, pulled[:, right])
            of_matrices[self._pairs_of(field)] = of_field.view(d, -1, d).permute(1, 0, 2)
        return join(d_logit, d_vectors, self.n_fields, self.scratch)

    def _pairs_of(self, field: int) -> slice:
        """The matrices between this field and all those after it."""
        later = self.n_fields - 1 - field
        stop = len(self.matrices) - later * (later - 1) // 2
        return slice(stop - later, stop)

    def partial(self, x: Tensor, fields: Sequence[int], with_bias: bool) -> Tensor:
        """First order and pairs within the fields, then for each of the items' fields the vector that the pairs across
        need of this side: an item's own, or the sum of a request's vectors times their matrices to that field."""
        place = {field: i for i, field in enumerate(fields)}
        others = [field for field in range(self.n_fields) if field not in place]
        within, across = [], torch.zeros(len(x), len(others), self.dimensions, device=x.device)
        vectors = x[:, :, :-1]
        for pair, (i, j) in enumerate(zip(*(side.tolist() for side in self._pairs), strict=True)):
            if i in place and j in place:
                within.append(pair)
            elif with_bias and i in place:
                across[:, others.index(j)] += vectors[:, place[i]] @ self.matrices[pair]
            elif with_bias and j in place:
                across[:, others.index(i)] += vectors[:, place[j]] @ self.matrices[pair].T
        left, right = ([place[f] for f in side[within].tolist()] for side in self._pairs)
        alone = self.first_order(x, with_bias) + _pair_sum(vectors[:, left], vectors[:, right], self.matrices[within])
        return torch.cat((alone[:, None], (across if with_bias else vectors).flatten(1)), 1)

    def combine(self, requests: Tensor, items: Tensor, candidates: Tensor) -> Tensor:
        return fm_scores(requests, items, candidates)


def _pair_sum(left: Tensor, right: Tensor, matrices: Tensor) -> Tensor:
    """The sum over pairs of left·M·right: [n] from twice [n, pairs, d] and [pairs, d, d]."""
    return (torch.einsum("npd,pde->npe", left, matrices) * right).sum((1, 2))
