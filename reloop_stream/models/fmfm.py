"""Field-matrixed factorization machine."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from reloop_stream.config import ModelConfig
from reloop_stream.models.base import CtrModel
from reloop_stream.models.scoring_kernels import fm_scores

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
