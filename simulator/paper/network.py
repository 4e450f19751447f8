"""What the offline protocol trains: a backbone of `reloop_stream.models` and its embedding table, all of it dense."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from reloop_stream.config import ModelConfig
from reloop_stream.events import ListColumn, take_column
from reloop_stream.features.encoder import Encoded, EncodedList, Encoder
from reloop_stream.models import build
from reloop_stream.runtime.torch_state import drawing_from

__all__ = ["Network", "take"]

PREDICTED_AT_ONCE = 8192  # rows: their hidden layers stay small beside the data


def take(encoded: Encoded, rows: np.ndarray) -> Encoded:
    """The encoded rows at these indices, [n]."""
    lists = [take_column(ListColumn(*one), rows) for one in encoded.lists]
    return Encoded(
        encoded.slots[rows],
        tuple(EncodedList(one.values, one.offsets, one.weights) for one in lists if isinstance(one, ListColumn)),
        encoded.numbers[rows],
    )


class Network(nn.Module):
    """logit = forward(encoded), float32 [n].

    The same parts as a stream's learner has (`reloop_stream.learners.torch_net`), as torch's own parameters: an optimiser
    then moves every row of the table at each step, as the open benchmark's do. Linear maps begin as there too (Glorot and
    Bengio 2010, normal; bias 0). seed: of the first weights.
    """

    def __init__(self, config: ModelConfig, encoder: Encoder, base_rate: float, seed: int) -> None:
        super().__init__()
        with drawing_from(seed, torch.device("cpu")):
            self.model = build(config, len(encoder.fields), base_rate)
            for module in self.model.modules():
                if isinstance(module, nn.Linear):
                    nn.init.xavier_normal_(module.weight)
                    if module.bias is not None:
                        nn.init.zeros_(module.bias)
            table, vectors = (
                torch.randn(rows, self.model.dimensions + 1) * config.init_scale
                for rows in (encoder.rows, len(encoder.numbers))
            )
        table[:, -1] = vectors[:, -1] = 0.0  # first-order weights
        self.table = nn.Parameter(table)
        self.number_vectors = nn.Parameter(vectors)

    def forward(self, encoded: Encoded) -> Tensor:
        parts = [nn.functional.embedding(torch.from_numpy(encoded.slots), self.table)]
        for one in encoded.lists:
            assert one.weights is None  # no data set of the paper has them
            bags = torch.from_numpy(one.rows), self.table, torch.from_numpy(one.offsets[:-1])
            parts.append(nn.functional.embedding_bag(*bags, mode="mean")[:, None])
        if encoded.numbers.shape[1]:
            parts.append(torch.from_numpy(encoded.numbers)[:, :, None] * self.number_vectors)
        return self.model(torch.cat(parts, 1) if len(parts) > 1 else parts[0])

    @torch.inference_mode()
    def predict(self, encoded: Encoded) -> np.ndarray:
        """The probability of a click in eval mode, float64 [n]."""
        self.eval()
        n = len(encoded)
        parts = [np.arange(at, min(at + PREDICTED_AT_ONCE, n)) for at in range(0, n, PREDICTED_AT_ONCE)]
        logits = [self(take(encoded, rows)) for rows in parts]
        found: np.ndarray = torch.sigmoid(torch.cat(logits).double()).numpy()
        return found
