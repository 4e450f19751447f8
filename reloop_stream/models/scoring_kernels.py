"""Scores of candidates from the parts of both sides, compiled: what is summed candidate by candidate, without arrays in between.

A candidate's score is the same whichever others it is scored with: sums run in one order, and matrices are multiplied in blocks
of one size.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from reloop_stream.models.fm_kernels import fm_combine
from reloop_stream.runtime.compiled import compiled

__all__ = ["deep_scores", "fm_scores", "parts_of_rows"]

BLOCK = 1024  # candidates whose hidden layers are computed at once, some hundred KiB: they stay in a core's cache


def fm_scores(requests: Tensor, items: Tensor, candidates: Tensor) -> Tensor:
    """[R, K] from the parts of requests [R, 1 + d] and items [N, 1 + d], of which `fm_combine` says what they are."""
    if requests.device.type != "cpu":
        return fm_combine(requests, nn.functional.embedding(candidates, items))
    logits = requests.new_empty(candidates.shape)
    _cross(requests.numpy(), items.numpy(), candidates.numpy(), logits.numpy())
    return logits


def deep_scores(requests: Tensor, items: Tensor, candidates: Tensor, split: int, layers: Sequence[nn.Linear]) -> Tensor:
    """What `fm_scores` gives of the first `split` parts, plus a perceptron's output: the other parts of both sides add up to its
    first layer's values before activation. layers: those behind it, each after a rectifier; the last one has one output."""
    n, k = candidates.shape
    logits, units = requests.new_empty(n * k), requests.shape[1] - split
    hidden = requests.new_zeros(BLOCK, units)
    arrays = requests.numpy(), items.numpy(), candidates.numpy(), hidden.numpy(), logits.numpy()
    inner = [(layer.bias, layer.weight.T, requests.new_empty(BLOCK, layer.out_features)) for layer in layers[:-1]]
    output, deep = layers[-1].weight[0], requests.new_empty(BLOCK)
    for begin in range(0, n * k, BLOCK):
        _first_layer(*arrays, begin, split)
        values = hidden
        for bias, weight, out in inner:
            values = torch.addmm(bias, values, weight, out=out).relu_()
        torch.mv(values, output, out=deep)
        some = logits[begin : begin + BLOCK]
        some += deep[: some.shape[0]]
    return logits.view(n, k)


def parts_of_rows(table: Tensor, slots: np.ndarray, crosses: bool, weight: Tensor, bias: Tensor) -> Tensor:
    """What `fm_scores` and `deep_scores` take of rows that are known by some fields' rows of a table, int64 [m, fields].

    crosses: whether pairs of fields are multiplied; else the first parts are one, the first-order sum. weight: [fields · d, units], of
    the perceptron's first layer; bias: [1 + units], of the first part and of the layer.
    """
    split = table.shape[1] if crosses else 1
    parts = table.new_empty(len(slots), split + weight.shape[1])
    _parts_of_rows(table.numpy(), slots, crosses, split, weight.numpy(), bias.numpy(), parts.numpy())
    return parts


@compiled
def _parts_of_rows(table, slots, crosses, split, weight, bias, parts):  # type: ignore[no-untyped-def]
    d = table.shape[1] - 1
    for i in range(len(slots)):
        of_row, hidden, squares = parts[i], parts[i, split:], table[0, 0] * 0
        of_row[:split] = 0
        of_row[0], hidden[:] = bias[0], bias[1:]
        for field in range(slots.shape[1]):
            vector = table[slots[i, field]]
            of_row[0] += vector[d]
            if crosses:
                for j in range(d):
                    of_row[1 + j] += vector[j]
                    squares += vector[j] * vector[j]
            if len(hidden) == 0:
                continue
            four = d - d % 4
            for j in range(0, four, 4):
                a, b, c, e = vector[j], vector[j + 1], vector[j + 2], vector[j + 3]
                first = field * d + j
                of_a, of_b, of_c, of_e = weight[first], weight[first + 1], weight[first + 2], weight[first + 3]
                for unit in range(len(hidden)):
                    hidden[unit] += (a * of_a[unit] + b * of_b[unit]) + (c * of_c[unit] + e * of_e[unit])
            for j in range(four, d):
                a, of_a = vector[j], weight[field * d + j]
                for unit in range(len(hidden)):
                    hidden[unit] += a * of_a[unit]
        if crosses:
            pairs = -squares
            for j in range(d):
                pairs += of_row[1 + j] * of_row[1 + j]
            of_row[0] += np.float32(0.5) * pairs


@compiled
def _cross(requests, items, candidates, logits):  # type: ignore[no-untyped-def]
    for i in range(candidates.shape[0]):
        for j in range(candidates.shape[1]):
            row = candidates[i, j]
            total = requests[i, 0] + items[row, 0]
            for part in range(1, requests.shape[1]):
                total += requests[i, part] * items[row, part]
            logits[i, j] = total


@compiled
def _first_layer(requests, items, candidates, hidden, logits, begin, split):  # type: ignore[no-untyped-def]
    """Of a block of the candidates from number `begin` on: the first layer after its rectifier, and the logit so far."""
    k = candidates.shape[1]
    units = hidden.shape[1]
    for at in range(min(len(hidden), candidates.size - begin)):
        i = (begin + at) // k
        row = candidates[i, begin + at - i * k]
        total = requests[i, 0] + items[row, 0]
        for part in range(1, split):
            total += requests[i, part] * items[row, part]
        logits[begin + at] = total
        # Cut out first, so that the loop runs over neighbours, which the compiler can vectorise.
        request, item, out = requests[i, split:], items[row, split:], hidden[at]
        for unit in range(units):
            value = request[unit] + item[unit]
            out[unit] = value if not value <= 0 else np.float32(0)  # what is no number stays none
