"""Compiled loops of the linear learner: sparse rows, predictions, and learning one example after the other.

A table holds a row a parameter: its weight, then d numbers of its vector (fm; none for lr), then what the optimiser keeps
of each of these. So one example touches one or two cache lines a feature, learning and predicting alike. Row 0 is the bias,
which has no vector and is not penalised. Predictions need the leading 1 + d columns alone, and a table may end there.

Everything that does not change from row to row is an argument: numba's cache would keep the old value of a global.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from reloop_stream.runtime.compiled import compiled

__all__ = [
    "FTRL_COLUMNS",
    "Goal",
    "Sparse",
    "Step",
    "candidate_probabilities",
    "flatten",
    "learn_adagrad",
    "learn_ftrl",
    "partial_sums",
    "probabilities",
    "reloop_weight",
]

FTRL_COLUMNS = 4  # weight, z, sum of squared gradients, and its root: the weight is ready when it is read


class Sparse(NamedTuple):
    """A batch's features: those of example i have the table's rows `rows[starts[i]:starts[i + 1]]`, and `values[...]`.

    rows: uint64 [total]. values: float32 [total]. starts: uint64 [n + 1]. The bias is not among them.
    """

    rows: np.ndarray
    values: np.ndarray
    starts: np.ndarray


class Goal(NamedTuple):
    """What a batch is to be learnt as: the gradient of example i with respect to its logit is weight · (p - target).

    target, weight, p_last: float64 [n]. corrects: bool [n], where the weight is multiplied by ReLoop's, which depends on p
    and so is known at the example's turn alone; alpha and tie are its settings.
    """

    target: np.ndarray
    weight: np.ndarray
    p_last: np.ndarray
    corrects: np.ndarray
    alpha: float
    tie: float


class Step(NamedTuple):
    """How far to go: learning rates of the weights and of the bias, penalties of the weights.

    smoothing: added to the root of the squares' sum; ftrl's beta, or what keeps Adagrad from dividing by zero.
    """

    lr: float
    bias_lr: float
    smoothing: float
    l1: float
    l2: float


@compiled
def flatten(slots, lists, list_weights, offsets, numbers, first, number_rows, rows, values, starts):  # type: ignore[no-untyped-def]
    """Encoded rows as sparse ones, into rows, values and starts.

    slots: [n, categories]. lists: [total] slots of all list fields, list_weights: [total] in units of the mean weight of their
    list, or [0] where all are 1, and offsets [list fields, n + 1] into both; equal values of one list become one feature. All integers are int64.
    numbers: [n, numbers], whose parameters are the table's `number_rows`. first: the table's row of slot 0.
    """
    at, are_weighted = 0, len(list_weights) > 0
    for i in range(len(slots)):
        starts[i] = at
        for j in range(slots.shape[1]):
            rows[at] = first + slots[i, j]
            values[at] = 1.0
            at += 1
        for j in range(len(offsets)):
            begin, end, own = offsets[j, i], offsets[j, i + 1], at
            for k in range(begin, end):
                row, found = first + lists[k], own
                while found < at and rows[found] != row:
                    found += 1
                if found == at:
                    rows[at] = row
                    values[at] = 0.0
                    at += 1
                weight = list_weights[k] if are_weighted else 1.0
                values[found] += weight / (end - begin)
        for j in range(len(number_rows)):
            rows[at] = number_rows[j]
            values[at] = numbers[i, j]
            at += 1
    starts[len(slots)] = at


@compiled
def _sigmoid(z):  # type: ignore[no-untyped-def]
    return 1.0 / (1.0 + math.exp(-z))  # compiled, an exponential that overflows is infinite, and this is zero


@compiled
def reloop_weight(p, p_last, y, alpha, tie):  # type: ignore[no-untyped-def]
    """`reloop_stream.losses.reloop_weight` of one example."""
    gap = p_last - p if y > 0.5 else p - p_last
    if gap > tie:
        return (1 - alpha) + alpha * (1 - abs(p - y))
    return 1 - alpha


@compiled
def _gradient(p, goal, i):  # type: ignore[no-untyped-def]
    weight = goal.weight[i]
    if goal.corrects[i]:
        weight *= reloop_weight(p, goal.p_last[i], goal.target[i], goal.alpha, goal.tie)
    return weight * (p - goal.target[i])


@compiled
def _without_bias(table, batch, i, total, squares):  # type: ignore[no-untyped-def]
    """Example i's first order plus all pairs of its features (Rendle 2010, Eq. 1 and Lemma 3.1).

    Leaves the sum of its vectors in `total`, [d]; squares, [d], is room to work in.
    """
    d = len(total)
    total[:] = 0
    squares[:] = 0
    first_order = 0.0
    for k in range(batch.starts[i], batch.starts[i + 1]):
        row = table[batch.rows[k]]
        x = batch.values[k]
        first_order += row[0] * x
        for j in range(d):
            part = row[1 + j] * x
            total[j] += part
            squares[j] += part * part
    pairs = 0.0
    for j in range(d):
        pairs += total[j] * total[j] - squares[j]
    return first_order + 0.5 * pairs


@compiled
def probabilities(table, d, bias, batch, out):  # type: ignore[no-untyped-def]
    """pCTR of each example into out, float64 [n]. bias: added to the table's own."""
    total, squares = np.empty(d, table.dtype), np.empty(d, table.dtype)
    bias += table[0, 0]
    for i in range(len(out)):
        out[i] = _sigmoid(bias + _without_bias(table, batch, i, total, squares))


@compiled
def partial_sums(table, batch, alone, sums):  # type: ignore[no-untyped-def]
    """What one side of a candidate's features adds: first order and pairs within it, [n], and its vectors' sum, [n, d]."""
    squares = np.empty(sums.shape[1], table.dtype)
    for i in range(len(alone)):
        alone[i] = _without_bias(table, batch, i, sums[i], squares)


@compiled
def candidate_probabilities(  # type: ignore[no-untyped-def]
    bias, request_alone, request_sums, item_alone, item_sums, candidates, out
):
    """pCTR of each request's candidates into out, float64 [R, K], from both sides' partial sums."""
    for r in range(out.shape[0]):
        for k in range(out.shape[1]):
            item = candidates[r, k]
            cross = 0.0
            for j in range(request_sums.shape[1]):
                cross += request_sums[r, j] * item_sums[item, j]
            out[r, k] = _sigmoid(bias + request_alone[r] + item_alone[item] + cross)


@compiled
def _ftrl_step(table, r, g, inverse_lr, beta, l1, l2):  # type: ignore[no-untyped-def]
    squares = table[r, 2] + g * g
    root = math.sqrt(squares)
    z = table[r, 1] + g - (root - table[r, 3]) * inverse_lr * table[r, 0]
    table[r, 0] = (math.copysign(l1, z) - z) / ((beta + root) * inverse_lr + l2) if abs(z) > l1 else 0.0
    table[r, 1], table[r, 2], table[r, 3] = z, squares, root


@compiled
def learn_ftrl(table, bias, batch, goal, step, out):  # type: ignore[no-untyped-def]
    """FTRL-proximal logistic regression (McMahan et al. 2013, Algorithm 1), one example after the other.

    The pCTR of each example before it is learnt goes into out, float64 [n]. bias: added to the table's own.
    """
    inverse_lr, inverse_bias_lr = 1.0 / step.lr, 1.0 / step.bias_lr
    for i in range(len(out)):
        first_order = 0.0
        for k in range(batch.starts[i], batch.starts[i + 1]):
            first_order += table[batch.rows[k], 0] * batch.values[k]
        p = out[i] = _sigmoid(bias + table[0, 0] + first_order)
        g = _gradient(p, goal, i)
        _ftrl_step(table, 0, g, inverse_bias_lr, step.smoothing, 0.0, 0.0)
        for k in range(batch.starts[i], batch.starts[i + 1]):
            _ftrl_step(table, batch.rows[k], g * batch.values[k], inverse_lr, step.smoothing, step.l1, step.l2)


@compiled
def learn_adagrad(table, d, bias, batch, goal, step, out):  # type: ignore[no-untyped-def]
    """Logistic regression (d = 0) or factorization machine by Adagrad (Duchi et al. 2011), one example after the other.

    out, bias: as in `learn_ftrl`.
    """
    number = table.dtype.type
    lr, l2, smoothing = number(step.lr), number(step.l2), number(step.smoothing)
    total, squares = np.empty(d, table.dtype), np.empty(d, table.dtype)
    for i in range(len(out)):
        p = out[i] = _sigmoid(bias + table[0, 0] + _without_bias(table, batch, i, total, squares))
        g = _gradient(p, goal, i)
        table[0, 1 + d] += g * g
        table[0, 0] -= step.bias_lr * g / (math.sqrt(table[0, 1 + d]) + step.smoothing)
        for k in range(batch.starts[i], batch.starts[i + 1]):
            row = table[batch.rows[k]]
            x = number(batch.values[k])
            of_field = number(g) * x
            slope = of_field + l2 * row[0]
            sum_of_squares = row[1 + d] + slope * slope
            row[1 + d] = sum_of_squares
            row[0] -= lr * slope / (np.sqrt(sum_of_squares) + smoothing)
            for j in range(d):
                weight = row[1 + j]
                slope = of_field * (total[j] - x * weight) + l2 * weight
                sum_of_squares = row[2 + d + j] + slope * slope
                row[2 + d + j] = sum_of_squares
                row[1 + j] = weight - lr * slope / (np.sqrt(sum_of_squares) + smoothing)
