"""Adaptive updates of a table of parameters: only the rows that a batch touches, their gradients summed first.

The rules equal torch.optim's on coalesced sparse gradients (Adagrad, SparseAdam, SGD). On the CPU numba runs them; on
other devices torch does, and the tests hold the two against each other. training by torch.optim on a
sparse table was measured at half the speed, and its first step takes over a second to import torch's compiler.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from reloop_stream.config import OptimizerConfig
from reloop_stream.learners.growing_rows import GrowingRows
from reloop_stream.models.scratch import Scratch
from reloop_stream.runtime.compiled import compiled

__all__ = ["TableUpdates"]

ADAGRAD_EPS = 1e-10
ADAM_EPS = 1e-8
ADAM_BETAS = (0.9, 0.999)


@compiled
def _sum_by_row(slots, gradient, place, touched, summed):  # type: ignore[no-untyped-def]
    """Sum the gradients of each row into `summed`, which may be `gradient` itself; the rows into `touched`. place: -1 everywhere,
    and again after."""
    n = 0
    width = gradient.shape[1]
    for i in range(len(slots)):
        row = slots[i]
        at = place[row]
        if at < 0:
            at = n
            place[row] = n
            touched[n] = row
            for j in range(width):
                summed[n, j] = gradient[i, j]
            n += 1
        else:
            for j in range(width):
                summed[at, j] += gradient[i, j]
    for i in range(n):
        place[touched[i]] = -1
    return n


@compiled
def _sgd(table, touched, summed, n, lr, l2):  # type: ignore[no-untyped-def]
    for i in range(n):
        row = touched[i]
        for j in range(table.shape[1]):
            table[row, j] -= lr * (summed[i, j] + l2 * table[row, j])


@compiled
def _adagrad(table, squares, touched, summed, n, lr, l2, eps):  # type: ignore[no-untyped-def]
    for i in range(n):
        row = touched[i]
        for j in range(table.shape[1]):
            g = summed[i, j] + l2 * table[row, j]
            squares[row, j] += g * g
            table[row, j] -= lr * g / (np.sqrt(squares[row, j]) + eps)


@compiled
def _adam(table, first, second, touched, summed, n, step_size, l2, beta1, beta2, eps):  # type: ignore[no-untyped-def]
    for i in range(n):
        row = touched[i]
        for j in range(table.shape[1]):
            g = summed[i, j] + l2 * table[row, j]
            first[row, j] += (1 - beta1) * (g - first[row, j])
            second[row, j] += (1 - beta2) * (g * g - second[row, j])
            table[row, j] -= step_size * first[row, j] / (np.sqrt(second[row, j]) + eps)


class TableUpdates:
    """The optimiser of one table, float32 [rows, width]; what is dense is a table of one row.

    lr: learning rate. l2: weight decay of the rows that a batch touches.
    """

    def __init__(self, config: OptimizerConfig, table: Tensor, lr: float, l2: float = 0.0) -> None:
        self.rate = 1.0  # multiplies `lr`
        self._config = config
        self._table = table
        self._base_lr = lr
        self._l2 = l2
        self._steps = 0
        states = {"sgd": (), "adagrad": ("squares",), "adam": ("first", "second")}[config.name]
        self._start = config.initial_accumulator if config.name == "adagrad" else 0.0
        self._state = {name: GrowingRows(torch.full_like(table, self._start)) for name in states}
        self._scratch = Scratch()
        self._look()
        self._place = np.full(len(table), -1, dtype=np.int32) if table.device.type == "cpu" else None
        if self._place is not None:  # compile (or load what was compiled) now, not in the middle of a stream
            self._step_in_numba(self._place, torch.zeros(0, dtype=torch.int64), table[:0])

    @property
    def _lr(self) -> float:
        return self._base_lr * self.rate

    def follow(self, table: Tensor) -> None:
        """Go on with a table that has grown out of the last one; new rows begin as all did."""
        fresh = len(table) - len(self._table)
        for rows in self._state.values():
            rows.grow(table.new_full((fresh, table.shape[1]), self._start))
        if self._place is not None and len(self._place) < len(table):
            self._place = np.full(2 * len(table), -1, dtype=np.int32)
        self._table = table
        self._look()

    def _look(self) -> None:
        """Where numba finds the table and what is kept of its rows."""
        if self._table.device.type == "cpu":
            self._arrays = [self._table.numpy(), *(kept.rows.numpy() for kept in self._state.values())]

    def step(self, slots: Tensor, gradient: Tensor) -> None:
        """slots: int64 [n], rows of the table, repeats allowed. gradient: float32 [n, width], which is overwritten."""
        self._steps += 1
        if self._place is None:
            self._step_in_torch(slots, gradient)
        else:
            self._step_in_numba(self._place, slots, gradient)

    def _step_in_numba(self, place: np.ndarray, slots: Tensor, gradient: Tensor) -> None:
        config, (table, *state), n = self._config, self._arrays, len(slots)
        touched, summed = slots.numpy(), gradient.numpy()
        if n != 1:
            rows, touched = touched, self._scratch.take("touched", (n,), torch.int64).numpy()
            n = _sum_by_row(rows, summed, place, touched, summed)
        lr, l2 = np.float32(self._lr), np.float32(self._l2)
        if config.name == "sgd":
            _sgd(table, touched, summed, n, lr, l2)
        elif config.name == "adagrad":
            _adagrad(table, *state, touched, summed, n, lr, l2, np.float32(ADAGRAD_EPS))
        else:
            beta1, beta2 = map(np.float32, ADAM_BETAS)
            step_size = np.float32(self._adam_step_size())
            _adam(table, *state, touched, summed, n, step_size, l2, beta1, beta2, np.float32(ADAM_EPS))

    def _adam_step_size(self) -> float:
        beta1, beta2 = ADAM_BETAS
        if not self._steps:
            return 0.0
        return self._lr * math.sqrt(1 - beta2**self._steps) / (1 - beta1**self._steps)

    def _step_in_torch(self, slots: Tensor, gradient: Tensor) -> None:
        config, table = self._config, self._table
        rows, inverse = torch.unique(slots, return_inverse=True)
        g = torch.zeros(len(rows), table.shape[1], device=table.device).index_add_(0, inverse, gradient)
        g += self._l2 * table[rows]
        if config.name == "sgd":
            table[rows] -= self._lr * g
        elif config.name == "adagrad":
            squares = self._state["squares"].rows
            squares[rows] += g.square()
            table[rows] -= self._lr * g / (squares[rows].sqrt() + ADAGRAD_EPS)
        else:
            beta1, beta2 = ADAM_BETAS
            first, second = self._state["first"].rows, self._state["second"].rows
            first[rows] += (1 - beta1) * (g - first[rows])
            second[rows] += (1 - beta2) * (g.square() - second[rows])
            table[rows] -= self._adam_step_size() * first[rows] / (second[rows].sqrt() + ADAM_EPS)

    def state(self) -> dict[str, np.ndarray]:
        arrays = {name: kept.rows.cpu().numpy() for name, kept in self._state.items()}
        return arrays | {"steps": np.array([self._steps])}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        self._steps = int(state["steps"][0])
        for name, kept in self._state.items():
            kept.rows.copy_(torch.from_numpy(state[name].copy()))
