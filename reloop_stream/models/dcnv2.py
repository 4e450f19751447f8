"""Improved Deep & Cross network."""

from __future__ import annotations

from torch import Tensor

from reloop_stream.models.dcn import DCN

__all__ = ["DCNv2"]


class DCNv2(DCN):
    """Cross layers x' = x0 * (W·x + b) + x, with a full matrix W, beside a deep network (Wang et al. 2021, "DCN V2", Eq. 1
    and Figure 1b, the parallel structure)."""

    @staticmethod
    def weight_shape(width: int) -> tuple[int, ...]:
        return (width, width)

    @staticmethod
    def cross(first: Tensor, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return first * (x @ weight.T + bias) + x
