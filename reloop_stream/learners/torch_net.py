"""An embedding table and a backbone on it: what a torch learner trains, and what a published version scores with."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reloop_stream.config import FieldConfig, LearnerConfig
from reloop_stream.errors import StateError
from reloop_stream.events import Column
from reloop_stream.features.encoder import Encoded, Encoder
from reloop_stream.features.hashing import normals
from reloop_stream.learners.growing_rows import GrowingRows
from reloop_stream.models import CtrModel, build
from reloop_stream.models.scratch import Scratch
from reloop_stream.runtime.torch_state import drawing_from

__all__ = ["Net", "sigmoid"]

TABLE = "table"


def sigmoid(logit: Tensor) -> np.ndarray:
    """float64 [n]: a stamp must not lose what tells it from a tie."""
    result: np.ndarray = torch.sigmoid(logit.double()).cpu().numpy()
    return result


class Net:
    """An embedding table and a backbone on an encoder's fields.

    table: float32 [rows, width], a row for each of the encoder's. What its optimiser holds of it is stale once
    `learn_values` has said that it grew.
    """

    def __init__(self, config: LearnerConfig, fields: Sequence[FieldConfig], seed: int, base_rate: float) -> None:
        self.device = torch.device(config.device)
        if config.device == "cuda" and not torch.cuda.is_available():
            raise ValueError("learner.device: got 'cuda', this machine has none; use cpu")
        self.encoder = Encoder(fields)
        self._seed = seed
        self._init_scale = config.model.init_scale
        with drawing_from(seed, torch.device("cpu")):
            self.model: CtrModel = build(config.model, len(self.encoder.fields), base_rate).to(self.device)
            width = self.model.dimensions + 1
            table = torch.randn(max(1, self.encoder.rows), width) * self._init_scale
            vectors = torch.randn(len(self.encoder.numbers), width) * self._init_scale
        table[:, -1] = 0.0  # first-order weights begin at zero: an unseen value says nothing
        vectors[:, -1] = 0.0
        self._rows = GrowingRows(table.to(self.device))
        # A number's embedding is its value times its field's vector, which is dense.
        self.number_vectors = torch.nn.Parameter(vectors.to(self.device))
        # One vector that holds all dense parameters: an optimiser's step then costs one call, not one a parameter.
        self.dense = torch.cat([parameter.detach().flatten() for parameter in self._parameters()])
        self.gradient = torch.zeros_like(self.dense)
        views = zip(self._parameters(), self._views(self.dense), self._views(self.gradient), strict=True)
        for parameter, values, gradient in views:
            parameter.data, parameter.grad = values, gradient
        self._scratch = Scratch()
        self.model.eval()

    @property
    def table(self) -> Tensor:
        return self._rows.rows

    def learn_values(self, features: Mapping[str, Column]) -> bool:
        """Let new values join the vocabularies of growing fields, each with a row. Whether the table has grown."""
        self.encoder.learn_values(features)
        before, width = self.table.shape
        n = self.encoder.rows - before
        if n <= 0:
            return False
        # Draws by the row's number: the same whenever it comes, and whether or not the learner was restarted meanwhile.
        first = before - self.encoder.fixed_rows
        drawn = normals(self._seed, first * width, n * width).reshape(n, width) * self._init_scale
        drawn[:, -1] = 0.0
        self._rows.grow(torch.from_numpy(drawn.astype(np.float32)).to(self.device))
        return True

    def _parameters(self) -> list[torch.nn.Parameter]:
        return [*self.model.parameters(), self.number_vectors]

    def _views(self, flat: Tensor) -> list[Tensor]:
        """The parts of a vector that belong to each parameter, in its shape."""
        shapes = [parameter.shape for parameter in self._parameters()]
        parts = torch.split(flat, [shape.numel() for shape in shapes])
        return [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]

    def frozen(self) -> Net:
        """A copy that shares nothing that changes."""
        net = copy.copy(self)
        net.encoder = self.encoder.frozen()
        net._rows = GrowingRows(self.table.clone())
        net.dense, net.gradient, net._scratch = self.dense.clone(), torch.zeros(0), Scratch()
        copies = [torch.nn.Parameter(view, requires_grad=False) for view in self._views(net.dense)]
        # deepcopy takes what it finds in `memo` for already copied.
        net.model = copy.deepcopy(
            self.model, {id(old): new for old, new in zip(self._parameters(), copies, strict=True)}
        )
        net.number_vectors = copies[-1]
        return net

    def arrays(self) -> dict[str, np.ndarray]:
        """All weights by name, as views."""
        named = {TABLE: self.table, "number_vectors": self.number_vectors.detach()}
        named |= {f"model.{name}": tensor.detach() for name, tensor in self.model.named_parameters()}
        return {name: tensor.cpu().numpy() for name, tensor in named.items()}

    def load(
        self, arrays: Mapping[str, np.ndarray], vocabulary: tuple[Mapping[str, Any], Mapping[str, np.ndarray]]
    ) -> None:
        """Put back weights, and the vocabularies as `encoder.state` gave them.

        Raises StateError where names or shapes are another model's.
        """
        self.encoder.restore(*vocabulary)
        rows, width = max(1, self.encoder.rows), self.table.shape[1]
        if rows != len(self.table):
            self._rows = GrowingRows(self.table.new_empty(rows, width))
        mine = self.arrays()
        shapes = {name: array.shape for name, array in arrays.items()}
        if shapes != {name: array.shape for name, array in mine.items()}:
            different = sorted(n for n in {*shapes, *mine} if n not in mine or shapes.get(n) != mine[n].shape)
            raise StateError(f"state: is of another model: {', '.join(different[:4])} differ in shape or presence")
        targets = {TABLE: self.table, "number_vectors": self.number_vectors}
        targets |= {f"model.{name}": tensor for name, tensor in self.model.named_parameters()}
        with torch.no_grad():
            for name, target in targets.items():
                target.copy_(torch.from_numpy(np.array(arrays[name])))

    def gather(self, slots: np.ndarray) -> Tensor:
        return torch.nn.functional.embedding(torch.from_numpy(slots).to(self.device), self.table)

    def gathered(self, encoded: Encoded) -> tuple[Tensor, list[Tensor]]:
        """The batch's rows of the table, to be learnt: of its categories and of each list. Good until the next call.

        Leaves of autograd where lists or numbers are made of them; else they are what the model sees."""
        if self.device.type != "cpu" or encoded.lists or len(self.encoder.numbers):
            return self.gather(encoded.slots).requires_grad_(), [
                self.gather(one.rows).requires_grad_() for one in encoded.lists
            ]
        width = self.table.shape[1]
        x = self._scratch.take("x", (*encoded.slots.shape, width))
        flat = encoded.slots.reshape(-1)
        # With mode "clip" numpy copies rows in place; none is clipped.
        np.take(self.table.numpy(), flat, axis=0, out=x.view(-1, width).numpy(), mode="clip")
        return x, []

    def assemble(
        self, gathered: Tensor, encoded: Encoded, pooled: Sequence[Tensor], number_fields: Sequence[int]
    ) -> Tensor:
        """[n, fields, width] from the gathered categories, the gathered rows of each list, and the numbers."""
        if not pooled and not len(number_fields):
            return gathered
        parts = [gathered]
        for rows, one in zip(pooled, encoded.lists, strict=True):
            lengths = torch.from_numpy(one.lengths).to(self.device)
            if one.weights is not None:
                rows = rows * torch.from_numpy(one.weights.astype(np.float32)).to(self.device)[:, None]
            example = torch.repeat_interleave(torch.arange(len(lengths), device=self.device), lengths)
            total = torch.zeros(len(lengths), rows.shape[1], device=self.device).index_add(0, example, rows)
            parts.append((total / lengths.clamp(min=1)[:, None])[:, None, :])
        if len(number_fields):
            values = torch.from_numpy(encoded.numbers).to(self.device)
            parts.append(values[:, :, None] * self.number_vectors[list(number_fields)])
        return torch.cat(parts, 1)

    def embed(self, encoded: Encoded, number_fields: Sequence[int]) -> Tensor:
        pooled = [self.gather(one.rows) for one in encoded.lists]
        return self.assemble(self.gather(encoded.slots), encoded, pooled, number_fields)

    def all_numbers(self) -> range:
        return range(len(self.encoder.numbers))

    @torch.inference_mode()
    def predict(self, features: Mapping[str, Column]) -> np.ndarray:
        encoded = self.encoder.encode(features)
        return sigmoid(self.model(self.embed(encoded, self.all_numbers())))

    @torch.inference_mode()
    def represent(self, features: Mapping[str, Column]) -> np.ndarray:
        """The fields' embeddings side by side, float32 [n, fields · d]; without any (lr), the first-order weights."""
        x = self.embed(self.encoder.encode(features), self.all_numbers())
        result: np.ndarray = (x[:, :, :-1] if self.model.dimensions else x).flatten(1).cpu().numpy()
        return result
