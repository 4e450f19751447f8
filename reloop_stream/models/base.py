"""What every CTR backbone is: a function of its fields' embeddings, with a bias that starts at the base rate."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from reloop_stream.config import ModelConfig
from reloop_stream.models.scratch import Scratch

__all__ = ["TILE", "CtrModel", "in_passes"]

# Of a matrix product with a multiple of so many rows each row is computed alike, whatever the others are and however many. The
# last rows of other products go other ways, and differ by an ulp.
TILE = 16
ROWS_AT_ONCE = 3000  # candidates scored together: their hidden layer, some hundred KiB, stays in a core's cache


class _Graph(NamedTuple):
    """What autograd keeps."""

    x: Tensor
    logit: Tensor


class CtrModel(nn.Module):
    """logit = forward(x), x being float32 [n, fields, width]: embeddings, and last of all the first-order weight.

    The embeddings lie in a table outside the model, since they are updated sparsely. The parameters here are dense.
    Every backbone adds the first-order weights and one bias, those too whose papers have no such term. Batch norm, an
    option of the hidden layers, is for training offline alone: a batch of one breaks it, and while training it makes a
    prediction depend on the others of its batch.

    A training step is `forward_keeping`, then `backward`. Autograd does both, unless a model has `keep` and `gradient`,
    which are written by hand and make the same of it, faster.
    """

    def __init__(self, config: ModelConfig, n_fields: int, base_rate: float) -> None:
        super().__init__()
        self.n_fields = n_fields
        self.dimensions = self.embedding_of(config)
        self.scratch = Scratch()
        self._normed = config.batch_norm
        self.bias = nn.Parameter(torch.tensor(math.log(base_rate / (1 - base_rate)), dtype=torch.float32))

    @staticmethod
    def embedding_of(config: ModelConfig) -> int:
        """Dimensions of an embedding, not counting the first-order weight."""
        return config.embedding

    def forward(self, x: Tensor) -> Tensor:
        """float32 [n] from [n, fields, width]."""
        raise TypeError(f"{type(self).__name__} has no forward")

    def first_order(self, x: Tensor, with_bias: bool = True) -> Tensor:
        """The sum of the first-order weights, and the bias: float32 [n]."""
        total = x[:, :, -1].sum(1)
        return total + self.bias if with_bias else total

    def forward_keeping(self, x: Tensor) -> tuple[Tensor, Any]:
        """What `forward` gives, without a graph, and what `backward` needs besides, good until the next call."""
        if not (self.training or self._normed or x.device.type != "cpu"):
            with torch.no_grad():
                found = self.keep(x.detach())
            if found is not None:
                return found
        x = x.detach().requires_grad_()
        logit = self(x)
        return logit.detach(), _Graph(x, logit)

    def backward(self, d_logit: Tensor, kept: Any) -> Tensor:
        """The gradient with respect to x, [n, fields, width], from that with respect to the logit, [n]. It may lie in x's place.

        Those of the parameters go into their `grad`, which must be there, contiguous and zero.
        """
        if not isinstance(kept, _Graph):
            with torch.no_grad():
                return self.gradient(d_logit, kept)
        kept.logit.backward(d_logit)
        assert kept.x.grad is not None
        return kept.x.grad

    def keep(self, x: Tensor) -> tuple[Tensor, Any] | None:
        """`forward_keeping` by hand: in eval mode, on the CPU, without batch norm. None: autograd shall do it."""
        return None

    def gradient(self, d_logit: Tensor, kept: Any) -> Tensor:
        """`backward` by hand, from what `keep` kept."""
        raise TypeError(f"{type(self).__name__} has no gradient by hand")

    def partial(self, x: Tensor, fields: Sequence[int], with_bias: bool) -> Tensor | None:
        """What rows that know only some fields, x [m, len(fields), width], can compute before they meet the others: [m, parts].

        fields: which of the model's fields, in its order; the other side has all others. with_bias: True for requests,
        False for items. Scoring K candidates of R requests then costs R + N of these instead of R·K. None where a model
        cannot.
        """
        return None

    def parts_of_rows(self, table: Tensor, slots: np.ndarray, fields: Sequence[int], with_bias: bool) -> Tensor | None:
        """The same as `partial` of fields that are all categories, from their rows of the table, int64 [m, len(fields)], on the
        CPU. None where a model has no quicker way than that."""
        return None

    def combine(self, requests: Tensor, items: Tensor, candidates: Tensor) -> Tensor:
        """logits [R, K] from the parts of requests [R, parts] and items [N, parts]; candidates [R, K] are rows of items."""
        raise TypeError(f"{type(self).__name__} has no partial sums")


def in_passes(score: Callable[[slice], Tensor], candidates: Tensor) -> Tensor:
    """score(rows), [rows, K], for all rows of candidates [R, K], some thousand candidates at a time: [R, K].

    R is a multiple of TILE, and so is the number of candidates of each pass. The memory that scoring takes depends on neither the
    number of requests nor (up to a tile) that of candidates.
    """
    n, k = candidates.shape
    logits = torch.empty(n, k, device=candidates.device)
    tile = TILE // math.gcd(k, TILE)
    step = max(tile, ROWS_AT_ONCE // max(1, k) // tile * tile)
    for at in range(0, n, step):
        rows = slice(at, at + step)
        logits[rows] = score(rows)
    return logits
