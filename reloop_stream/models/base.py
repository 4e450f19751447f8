"""What every CTR backbone is: a function of its fields' embeddings, with a bias that starts at the base rate."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from reloop_stream.config import ModelConfig

__all__ = ["CtrModel", "fm_combine", "fm_parts", "pairwise"]


class CtrModel(nn.Module):
    """logit = forward(x), x being float32 [n, fields, width]: embeddings, and last of all the first-order weight.

    The embeddings lie in a table outside the model, since they are updated sparsely. The parameters here are dense.
    """

    def __init__(self, config: ModelConfig, n_fields: int, base_rate: float) -> None:
        super().__init__()
        self.n_fields = n_fields
        self.dimensions = self.embedding_of(config)
        self.bias = nn.Parameter(torch.tensor(math.log(base_rate / (1 - base_rate)), dtype=torch.float32))

    @staticmethod
    def embedding_of(config: ModelConfig) -> int:
        """Dimensions of an embedding, not counting the first-order weight."""
        return config.embedding

    def forward(self, x: Tensor) -> Tensor:
        """float32 [n] from [n, fields, width]."""
        raise TypeError(f"{type(self).__name__} has no forward")

    def partial(self, x: Tensor, fields: Sequence[int], with_bias: bool) -> Tensor | None:
        """What rows that know only some fields can compute before they meet the others: [m, parts].

        Scoring K candidates of R requests then costs R + N of these instead of R·K. None where a model cannot.
        """
        return None

    def combine(self, requests: Tensor, items: Tensor, candidates: Tensor) -> Tensor:
        """logits [R, K] from the parts of requests [R, parts] and items [N, parts]; candidates [R, K] are rows of items."""
        raise TypeError(f"{type(self).__name__} has no partial sums")


def pairwise(vectors: Tensor) -> Tensor:
    """Sum of the inner products of all pairs of fields: [n] from [n, fields, d].

    Rendle 2010, "Factorization machines", Lemma 3.1: half of the squared sum less the sum of squares.
    """
    total = vectors.sum(1)
    return 0.5 * (total.square().sum(1) - vectors.square().sum((1, 2)))


def fm_parts(x: Tensor) -> Tensor:
    """[m, 1 + d]: first-order terms and pairs within these fields, then the sum of their vectors."""
    vectors = x[:, :, :-1]
    return torch.cat(((x[:, :, -1].sum(1) + pairwise(vectors))[:, None], vectors.sum(1)), 1)


def fm_combine(requests: Tensor, items: Tensor) -> Tensor:
    """[R, K] from request parts [R, 1 + d] and gathered item parts [R, K, 1 + d]: cross pairs are one inner product."""
    cross = torch.matmul(items[:, :, 1:], requests[:, 1:, None]).squeeze(2)
    return cross + items[:, :, 0] + requests[:, :1]
