"""DeepFM."""

from __future__ import annotations

from torch import Tensor

from reloop_stream.models.fm_kernels import fm_parts, wide_and_vectors
from reloop_stream.models.wide_deep import WideDeep

__all__ = ["DeepFM"]


class DeepFM(WideDeep):
    """A factorization machine and a deep network on the same embeddings, added (Guo et al. 2017, "DeepFM", Eq. 1)."""

    def forward(self, x: Tensor) -> Tensor:
        wide, vectors = wide_and_vectors(x)
        return wide + self.layers(vectors).squeeze(1) + self.bias

    def wide_parts(self, x: Tensor) -> Tensor:
        return fm_parts(x)
