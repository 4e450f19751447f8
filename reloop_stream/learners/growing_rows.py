"""A table that can be lengthened while it is in use."""

from __future__ import annotations

from torch import Tensor

__all__ = ["GrowingRows"]


class GrowingRows:
    """A tensor [n, width] whose rows become more: `rows` is what there is of it.

    Room is taken for twice as many as are needed, so that on average growth costs a constant time a row.
    """

    def __init__(self, rows: Tensor) -> None:
        self.rows = rows
        self._room = rows

    def grow(self, fresh: Tensor) -> None:
        """Append rows."""
        before, n = len(self.rows), len(self.rows) + len(fresh)
        if n > len(self._room):
            self._room = fresh.new_empty(2 * n, fresh.shape[1])
            self._room[:before] = self.rows
        self._room[before:n] = fresh
        self.rows = self._room[:n]
