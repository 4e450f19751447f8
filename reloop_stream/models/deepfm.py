"""DeepFM."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from reloop_stream.models.fm_kernels import Parts, fm_parts, gradient_of_parts, keep_parts, wide_and_vectors
from reloop_stream.models.vectors import put_bias
from reloop_stream.models.wide_deep import WideDeep

__all__ = ["DeepFM"]


class DeepFM(WideDeep):
    """A factorization machine and a deep network on the same embeddings, added (Guo et al. 2017, "DeepFM", Eq. 1)."""

    crosses = True

    def forward(self, x: Tensor) -> Tensor:
        wide, vectors = wide_and_vectors(x)
        return wide + self.layers(vectors).squeeze(1) + self.bias

    def keep(self, x: Tensor) -> tuple[Tensor, tuple[Parts, Any]]:
        n, fields, width = x.shape
        vectors = self.scratch.take("vectors", (n, fields * (width - 1)), x.dtype)
        parts = keep_parts(x, self.scratch, vectors)
        deep, kept = self.layers.keep(vectors)
        return deep.squeeze(1) + parts.wide + self.bias, (parts, kept)

    def gradient(self, d_logit: Tensor, kept: tuple[Parts, Any]) -> Tensor:
        parts, of_layers = kept
        put_bias(self.bias, d_logit)
        return gradient_of_parts(parts, d_logit, self.layers.gradient(d_logit[:, None], of_layers))

    def wide_parts(self, x: Tensor) -> Tensor:
        return fm_parts(x)
