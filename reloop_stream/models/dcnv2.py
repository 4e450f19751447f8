"""Improved Deep & Cross network."""

from __future__ import annotations

from typing import Any

import torch
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

    def keep_cross(self, number: int, first: Tensor, x: Tensor, out: Tensor) -> Any:
        mapped = self.scratch.take(f"mapped {number}", (*x.shape,), x.dtype)
        torch.addmm(self.cross_bias[number], x, self.cross_weight[number].T, out=mapped)
        torch.addcmul(x, first, mapped, out=out)
        return mapped

    def cross_gradient(
        self,
        first: Tensor,
        x: Tensor,
        kept: Any,
        d: Tensor,
        d_first: Tensor,
        d_weight: Tensor,
        d_bias: Tensor,
        number: int,
    ) -> None:
        d_first.addcmul_(d, kept)
        d_mapped = torch.mul(d, first, out=kept)
        torch.mm(d_mapped.T, x, out=d_weight)
        torch.sum(d_mapped, 0, out=d_bias)
        d.addmm_(d_mapped, self.cross_weight[number])
