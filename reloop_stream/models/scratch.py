"""Memory that a training step writes into and the next one uses again."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["Scratch"]


class Scratch:
    """Tensors on the CPU by name, each kept from batch to batch and as large as the largest batch needed.

    Fresh memory for every batch costs a page fault for each 4 KiB of it. Copies of a model share none and begin empty.
    """

    def __init__(self) -> None:
        self._views: dict[str, Tensor] = {}
        self._memory: dict[str, Tensor] = {}

    def take(self, name: str, shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> Tensor:
        """The tensor of that name in this shape, contiguous, with whatever was left in it."""
        view = self._views.get(name)
        if view is not None and view.shape == shape and view.dtype == dtype:
            return view
        size, memory = torch.Size(shape).numel(), self._memory.get(name)
        if memory is None or len(memory) < size or memory.dtype != dtype:
            memory = self._memory[name] = torch.empty(size, dtype=dtype)
        view = self._views[name] = memory[:size].view(shape)
        return view

    def __deepcopy__(self, memo: dict[int, Any]) -> Scratch:
        return Scratch()
