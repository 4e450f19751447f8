"""The rows that a window holds, in the order in which they came."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np

from reloop_stream.events import ExampleBatch
from reloop_stream.stream.event_feed import BEGINNING_MS
from reloop_stream.updating.packed import PackedRows

__all__ = ["Rows", "WindowRows", "in_batches", "later_than", "together"]

# Examples, and which of them another arm's model served: bool [n].
Rows = tuple[ExampleBatch, np.ndarray]

# Rows that are packed together: unpacked they fit a processor's cache, and so many share what a block costs.
BLOCK_ROWS = 1 << 16


class WindowRows:
    """Rows are packed by the block, and unpacked by the block when they are read."""

    def __init__(self) -> None:
        self._blocks: deque[PackedRows] = deque()
        self._loose: list[Rows] = []  # too few for a block
        self._n_loose = 0
        self._after_ms = BEGINNING_MS
        self.nbytes = 0  # of the blocks

    def add(self, rows: Rows) -> None:
        """Rows whose columns are all there is to keep."""
        self._loose.append(rows)
        self._n_loose += len(rows[0])
        if self._n_loose >= BLOCK_ROWS:
            block = PackedRows(*together(self._loose))
            self._blocks.append(block)
            self.nbytes += block.nbytes
            self._loose, self._n_loose = [], 0

    def forget(self, until_ms: int) -> None:
        """Let go of rows with a label time up to this one."""
        self._after_ms = until_ms
        while self._blocks and self._blocks[0].last_ms <= until_ms:
            self.nbytes -= self._blocks.popleft().nbytes
        while self._loose and not self._blocks and self._loose[0][0].label_time_ms.max(initial=until_ms) <= until_ms:
            self._n_loose -= len(self._loose.pop(0)[0])

    def clear(self) -> None:
        self._blocks.clear()
        self._loose, self._n_loose, self.nbytes = [], 0, 0

    def __iter__(self) -> Iterator[Rows]:
        """All rows, some at a time."""
        for block in self._blocks:
            rows = block.unpacked()
            yield rows if block.first_ms > self._after_ms else later_than(self._after_ms, rows)
        if self._loose:
            rows = later_than(self._after_ms, together(self._loose))
            self._loose, self._n_loose = [rows], len(rows[0])
            yield rows


def later_than(at_ms: int, rows: Rows) -> Rows:
    """Those with a later label time."""
    examples, foreign = rows
    kept = examples.label_time_ms > at_ms
    return rows if kept.all() else (examples.take(kept), foreign[kept])


def in_batches(parts: Iterable[Rows], size: int) -> Iterator[Rows]:
    """The rows in batches of `size`, the last one of what is left: however they were cut before."""
    waiting: list[Rows] = []
    n = 0
    for examples, foreign in parts:
        at = 0
        while at < len(examples):
            rows = slice(at, min(at + size - n, len(examples)))
            waiting.append((examples.part(rows), foreign[rows]))
            n, at = n + rows.stop - at, rows.stop
            if n == size:
                yield together(waiting)
                waiting, n = [], 0
    if waiting:
        yield together(waiting)


def together(parts: list[Rows]) -> Rows:
    if len(parts) == 1:
        return parts[0]
    return ExampleBatch.concat([examples for examples, _ in parts]), np.concatenate([foreign for _, foreign in parts])
