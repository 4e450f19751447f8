"""CTR backbones in torch, learnt batch by batch and published as frozen copies."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from reloop_stream.config import FieldConfig, LearnerConfig
from reloop_stream.events import Column, ExampleBatch
from reloop_stream.features import Encoded, Encoder
from reloop_stream.learners.base import WithoutMemory, groups_of, last_predictions
from reloop_stream.learners.sparse_updates import TableUpdates
from reloop_stream.losses import target_and_weight
from reloop_stream.models import CtrModel, build
from reloop_stream.snapshot import SnapshotError, pack, unpack

__all__ = ["TorchLearner", "TorchModel"]

WEIGHTS = "weights."
TABLE = "table"


def _sigmoid(logit: Tensor) -> np.ndarray:
    """float64: a stamp must not lose what tells it from a tie."""
    result: np.ndarray = torch.sigmoid(logit.double()).cpu().numpy()
    return result


class _Net:
    """An embedding table and a backbone on an encoder's fields."""

    def __init__(self, config: LearnerConfig, fields: Sequence[FieldConfig], seed: int, base_rate: float) -> None:
        # Two threads gain nothing at these sizes, collapse under contention, and could change the order of sums.
        torch.set_num_threads(1)
        self.device = torch.device(config.device)
        if config.device == "cuda" and not torch.cuda.is_available():
            raise ValueError("learner.device: got 'cuda', this machine has none; use cpu")
        self.encoder = Encoder(fields)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.model: CtrModel = build(config.model, len(self.encoder.fields), base_rate).to(self.device)
            width = self.model.dimensions + 1
            self.table = torch.randn(max(1, self.encoder.rows), width) * config.model.init_scale
            vectors = torch.randn(len(self.encoder.numbers), width) * config.model.init_scale
        self.table[:, -1] = 0.0  # first-order weights begin at zero: an unseen value says nothing
        vectors[:, -1] = 0.0
        self.table = self.table.to(self.device)
        # A number's embedding is its value times its field's vector, which is dense.
        self.number_vectors = torch.nn.Parameter(vectors.to(self.device))
        # One vector that holds all dense parameters: an optimiser's step then costs one call, not one a parameter.
        self.dense = torch.cat([parameter.detach().flatten() for parameter in self._parameters()])
        self.gradient = torch.zeros_like(self.dense)
        views = zip(self._parameters(), self._views(self.dense), self._views(self.gradient), strict=True)
        for parameter, values, gradient in views:
            parameter.data, parameter.grad = values, gradient
        self.model.eval()

    def _parameters(self) -> list[torch.nn.Parameter]:
        return [*self.model.parameters(), self.number_vectors]

    def _views(self, flat: Tensor) -> list[Tensor]:
        """The parts of a vector that belong to each parameter, in its shape."""
        shapes = [parameter.shape for parameter in self._parameters()]
        parts = torch.split(flat, [shape.numel() for shape in shapes])
        return [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]

    def frozen(self) -> _Net:
        """A copy that shares nothing that changes."""
        net = copy.copy(self)
        net.table = self.table.clone()
        net.dense, net.gradient = self.dense.clone(), torch.zeros(0)
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

    def load(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Raises SnapshotError where names or shapes are another model's."""
        mine = self.arrays()
        shapes = {name: array.shape for name, array in arrays.items()}
        if shapes != {name: array.shape for name, array in mine.items()}:
            different = sorted(n for n in {*shapes, *mine} if n not in mine or shapes.get(n) != mine[n].shape)
            raise SnapshotError(
                f"snapshot: is of another model: {', '.join(different[:4])} differ in shape or presence"
            )
        targets = {TABLE: self.table, "number_vectors": self.number_vectors}
        targets |= {f"model.{name}": tensor for name, tensor in self.model.named_parameters()}
        with torch.no_grad():
            for name, target in targets.items():
                target.copy_(torch.from_numpy(np.array(arrays[name])))

    def gather(self, slots: np.ndarray) -> Tensor:
        return torch.nn.functional.embedding(torch.from_numpy(slots).to(self.device), self.table)

    def assemble(
        self, gathered: Tensor, encoded: Encoded, pooled: Sequence[Tensor], number_fields: Sequence[int]
    ) -> Tensor:
        """[n, fields, width] from the gathered categories, the gathered rows of each list, and the numbers."""
        if not pooled and not len(number_fields):
            return gathered
        parts = [gathered]
        for rows, (_, offsets) in zip(pooled, encoded.lists, strict=True):
            lengths = torch.from_numpy(np.diff(offsets)).to(self.device)
            example = torch.repeat_interleave(torch.arange(len(lengths), device=self.device), lengths)
            total = torch.zeros(len(lengths), rows.shape[1], device=self.device).index_add(0, example, rows)
            parts.append((total / lengths.clamp(min=1)[:, None])[:, None, :])
        if len(number_fields):
            values = torch.from_numpy(encoded.numbers).to(self.device)
            parts.append(values[:, :, None] * self.number_vectors[list(number_fields)])
        return torch.cat(parts, 1)

    def embed(self, encoded: Encoded, number_fields: Sequence[int]) -> Tensor:
        pooled = [self.gather(rows) for rows, _ in encoded.lists]
        return self.assemble(self.gather(encoded.slots), encoded, pooled, number_fields)

    def all_numbers(self) -> range:
        return range(len(self.encoder.numbers))

    @torch.inference_mode()
    def predict(self, features: Mapping[str, Column]) -> np.ndarray:
        encoded = self.encoder.encode(features)
        return _sigmoid(self.model(self.embed(encoded, self.all_numbers())))

    @torch.inference_mode()
    def represent(self, features: Mapping[str, Column]) -> np.ndarray:
        x = self.embed(self.encoder.encode(features), self.all_numbers())
        result: np.ndarray = x[:, :, :-1].flatten(1).cpu().numpy()
        return result

    @torch.inference_mode()
    def score_candidates(
        self, request_features: Mapping[str, Column], item_features: Mapping[str, Column], candidates: np.ndarray
    ) -> np.ndarray:
        names = self.encoder.names
        ours = [i for i, name in enumerate(names) if name in request_features]
        theirs = [i for i in range(len(names)) if i not in ours]
        x_requests, x_items = self._side(request_features, ours), self._side(item_features, theirs)
        rows = torch.from_numpy(candidates).to(self.device, torch.int64)
        requests = self.model.partial(x_requests, ours, with_bias=True)
        items = self.model.partial(x_items, theirs, with_bias=False)
        if requests is not None and items is not None:
            return _sigmoid(self.model.combine(requests, items, rows))
        r, k = candidates.shape
        x = torch.empty(r * k, len(names), x_items.shape[2], device=self.device)
        x[:, ours] = x_requests.repeat_interleave(k, 0)
        x[:, theirs] = x_items[rows.flatten()]
        return _sigmoid(self.model(x)).reshape(r, k)

    def _side(self, features: Mapping[str, Column], fields: Sequence[int]) -> Tensor:
        names = [self.encoder.names[i] for i in fields]
        encoded = self.encoder.encode_some(features, names)
        first_number = len(self.encoder.fields) - len(self.encoder.numbers)
        return self.embed(encoded, [i - first_number for i in fields if i >= first_number])


class TorchModel:
    """A frozen version of a torch model."""

    def __init__(self, name: str, version: int, net: _Net) -> None:
        self.name = name
        self.version = version
        self._net = net

    def predict(self, features: Mapping[str, Column]) -> np.ndarray:
        return self._net.predict(features)

    def represent(self, features: Mapping[str, Column]) -> np.ndarray:
        return self._net.represent(features)

    def score_candidates(
        self, request_features: Mapping[str, Column], item_features: Mapping[str, Column], candidates: np.ndarray
    ) -> np.ndarray:
        return self._net.score_candidates(request_features, item_features, candidates)

    def weights(self) -> dict[str, np.ndarray]:
        return self._net.arrays()

    def to_bytes(self) -> bytes:
        arrays = {WEIGHTS + name: array for name, array in self.weights().items()}
        return pack({"kind": "torch", "name": self.name, "version": self.version}, arrays)

    @classmethod
    def from_snapshot(
        cls,
        meta: Mapping[str, Any],
        arrays: Mapping[str, np.ndarray],
        fields: Sequence[FieldConfig],
        config: LearnerConfig,
    ) -> Self:
        """Raises SnapshotError where the snapshot is another model's."""
        if meta.get("kind") != "torch":
            raise SnapshotError(f"snapshot: is of kind {meta.get('kind')!r}, expected a torch model")
        net = _Net(config, fields, seed=0, base_rate=0.5)
        net.load({name.removeprefix(WEIGHTS): array for name, array in arrays.items() if name.startswith(WEIGHTS)})
        return cls(meta["name"], meta["version"], net)


class TorchLearner(WithoutMemory):
    """A torch backbone that learns batch by batch.

    One step: gather the batch's rows of the table as a leaf, go forward and backward, update the dense parameters and
    the touched rows of the table by `TableUpdates`. The loss enters through its gradient with respect to the logit,
    weight · (p - target) / n, so all losses share one path and cost the same.
    """

    def __init__(
        self, config: LearnerConfig, fields: Sequence[FieldConfig], *, name: str, seed: int, base_rate: float
    ) -> None:
        self.name = name
        self.version = 0
        self._config = config
        self._fields = list(fields)
        self._seed = seed
        self._base_rate = base_rate
        self._last: TorchModel | None = None
        self._steps = 0  # seeds dropout, so that a restored learner goes on as if it had never stopped
        self._begin()

    def _begin(self) -> None:
        self._net = _Net(self._config, self._fields, self._seed, self._base_rate)
        optimizer = self._config.optimizer
        self._dense = TableUpdates(optimizer, self._net.dense[None], optimizer.lr)
        self._sparse = TableUpdates(optimizer, self._net.table, optimizer.embedding_lr or optimizer.lr, optimizer.l2)

    @property
    def encoder(self) -> Encoder:
        return self._net.encoder

    def predict(self, features: Mapping[str, Column]) -> np.ndarray:
        return self._net.predict(features)

    def learn(self, examples: ExampleBatch, foreign: np.ndarray | None = None) -> np.ndarray:
        net, loss = self._net, self._config.loss
        p_last, known = last_predictions(loss, examples, foreign, self._last)
        encoded = net.encoder.encode(examples.exposures.features)
        leaf = net.gather(encoded.slots).requires_grad_()
        pooled = [net.gather(rows).requires_grad_() for rows, _ in encoded.lists]
        drops = self._config.model.dropout > 0
        if drops:
            before = _sigmoid(net.model(net.assemble(leaf, encoded, pooled, net.all_numbers())).detach())
            torch.manual_seed(self._seed * 1_000_003 + self._steps)
            net.model.train()
        logit = net.model(net.assemble(leaf, encoded, pooled, net.all_numbers()))
        net.model.eval()
        p = _sigmoid(logit.detach())
        target, weight = target_and_weight(loss, p, p_last, examples.label, known, groups_of(loss, examples))
        gradient = (weight * (p - target) / len(p)).astype(np.float32)
        net.gradient.zero_()
        logit.backward(torch.from_numpy(gradient).to(net.device))
        self._dense.step(torch.zeros(1, dtype=torch.int64, device=net.device), net.gradient[None])
        self._step_table(encoded, leaf, pooled)
        self._steps += 1
        return before if drops else p

    def _step_table(self, encoded: Encoded, leaf: Tensor, pooled: Sequence[Tensor]) -> None:
        pairs = [(encoded.slots.ravel(), leaf.grad)]
        pairs += [(rows, tensor.grad) for (rows, _), tensor in zip(encoded.lists, pooled, strict=True)]
        slots = [torch.from_numpy(rows) for rows, gradient in pairs if gradient is not None]
        width = self._net.table.shape[1]
        gradients = [gradient.reshape(-1, width) for _, gradient in pairs if gradient is not None]
        one = len(slots) == 1
        self._sparse.step(slots[0] if one else torch.cat(slots), gradients[0] if one else torch.cat(gradients))

    def publish(self) -> TorchModel:
        self.version += 1
        self._last = TorchModel(self.name, self.version, self._net.frozen())
        return self._last

    def reset(self) -> None:
        self._begin()

    def snapshot(self) -> bytes:
        arrays = {WEIGHTS + name: array for name, array in self._net.arrays().items()}
        for prefix, updates in (("sparse.", self._sparse), ("dense.", self._dense)):
            arrays |= {prefix + name: array for name, array in updates.state().items()}
        if self._last is not None:
            arrays |= {f"last.{name}": array for name, array in self._last.weights().items()}
        meta = {"kind": "torch", "name": self.name, "version": self.version, "steps": self._steps}
        return pack(meta, arrays)

    def restore(self, data: bytes) -> None:
        meta, arrays = unpack(data)
        if meta.get("kind") != "torch" or "steps" not in meta:
            raise SnapshotError(f"snapshot: of kind {meta.get('kind')!r} is none of a torch learner")

        def part(prefix: str) -> dict[str, np.ndarray]:
            return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}

        self._begin()
        self._net.load(part(WEIGHTS))
        for prefix, updates in (("sparse.", self._sparse), ("dense.", self._dense)):
            state = part(prefix)
            if state.keys() != updates.state().keys():
                raise SnapshotError(f"snapshot: its optimiser keeps {sorted(state)}, this learner's is another")
            updates.restore(state)
        self.version, self._steps = meta["version"], meta["steps"]
        self._last = None
        if self.version:
            frozen = self._net.frozen()
            frozen.load(part("last."))
            self._last = TorchModel(self.name, self.version, frozen)
