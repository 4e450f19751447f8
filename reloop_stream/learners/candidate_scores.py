"""Scoring many candidates of many requests by a torch net: each side's part is computed once, and then they meet.

A candidate's score is the same bit for bit whichever others are scored with it: rows are filled up to whole tiles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from reloop_stream.events import Column
from reloop_stream.features.check import check_candidates
from reloop_stream.features.encoder import Encoded
from reloop_stream.learners.torch_net import Net
from reloop_stream.models.base import TILE, in_passes

__all__ = ["score_candidates"]


@torch.inference_mode()
def score_candidates(
    net: Net, request_features: Mapping[str, Column], item_features: Mapping[str, Column], candidates: np.ndarray
) -> np.ndarray:
    """pCTR, float64 [R, K], of rows of the items, [R, K]. What is a feature of both sides is taken from the request's."""
    names = net.encoder.names
    ours = [i for i, name in enumerate(names) if name in request_features]
    theirs = [i for i in range(len(names)) if i not in ours]
    of_requests, of_items = _side(net, request_features, ours), _side(net, item_features, theirs)
    rows = torch.from_numpy(check_candidates(candidates, len(of_requests), len(of_items)))
    if not rows.numel():  # what some models cannot reshape
        return np.empty(candidates.shape)
    rows = _in_tiles(rows.to(net.device))
    requests = _parts(net, of_requests, ours, with_bias=True)
    items = None if requests is None else _parts(net, of_items, theirs, with_bias=False)
    if requests is not None and items is not None:
        logits = net.model.combine(_in_tiles(requests), items, rows)
    else:
        x_requests, x_items = (_in_tiles(_embedded(net, *side)) for side in ((of_requests, ours), (of_items, theirs)))
        k, width = candidates.shape[1], x_items.shape[2]

        def score(some: slice) -> Tensor:
            shown = rows[some]
            x = torch.empty(shown.numel(), len(names), width, device=net.device)
            x[:, ours] = x_requests[some].repeat_interleave(k, 0)
            x[:, theirs] = x_items[shown.flatten()]
            return net.model(x).reshape(shown.shape)

        logits = in_passes(score, rows)
    return np.asarray(torch.sigmoid(logits.double())[: len(candidates)].cpu().numpy())


def _side(net: Net, features: Mapping[str, Column], fields: Sequence[int]) -> Encoded:
    return net.encoder.encode_some(features, [net.encoder.names[i] for i in fields])


def _embedded(net: Net, encoded: Encoded, fields: Sequence[int]) -> Tensor:
    """The embeddings of one side's fields, [rows, fields, width]."""
    first_number = len(net.encoder.fields) - len(net.encoder.numbers)
    return net.embed(encoded, [i - first_number for i in fields if i >= first_number])


def _parts(net: Net, encoded: Encoded, fields: Sequence[int], *, with_bias: bool) -> Tensor | None:
    """What one side can compute before it meets the other; None where the model cannot."""
    if net.device.type == "cpu" and encoded.slots.shape[1] == len(fields) > 0:
        parts = net.model.parts_of_rows(net.table, encoded.slots, fields, with_bias)
        if parts is not None:
            return parts
    return net.model.partial(_in_tiles(_embedded(net, encoded, fields)), fields, with_bias)


def _in_tiles(rows: Tensor) -> Tensor:
    """Filled up with zeros to a multiple of TILE."""
    missing = -len(rows) % TILE
    return torch.cat((rows, rows.new_zeros(missing, *rows.shape[1:]))) if missing else rows
