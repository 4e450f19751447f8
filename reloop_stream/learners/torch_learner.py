"""CTR backbones in torch, learnt batch by batch and published as frozen copies."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from reloop_stream.config import FieldConfig, LearnerConfig, OptimizerConfig
from reloop_stream.events import Column, ExampleBatch
from reloop_stream.features import Encoded, Encoder
from reloop_stream.learners.base import last_predictions
from reloop_stream.learners.sparse_updates import ADAGRAD_EPS, TableUpdates
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
        self.model.eval()

    def parameters(self) -> list[torch.nn.Parameter]:
        own = [self.number_vectors] if len(self.number_vectors) else []
        return [*self.model.parameters(), *own]

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


def _dense_optimizer(config: OptimizerConfig, parameters: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
    if config.name == "sgd":
        return torch.optim.SGD(parameters, lr=config.lr, foreach=True)
    if config.name == "adam":
        return torch.optim.Adam(parameters, lr=config.lr, foreach=True)
    start = config.initial_accumulator
    return torch.optim.Adagrad(parameters, lr=config.lr, initial_accumulator_value=start, eps=ADAGRAD_EPS, foreach=True)


class TorchLearner:
    """A torch backbone that learns batch by batch.

    One step: gather the batch's rows of the table as a leaf, go forward and backward, update the dense parameters by
    torch.optim and the touched rows by `TableUpdates`. The loss enters through its gradient with respect to the logit,
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
        self._dense = _dense_optimizer(self._config.optimizer, self._net.parameters())
        self._sparse = TableUpdates(self._config.optimizer, self._net.table)

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
        target, weight = target_and_weight(loss, p, p_last, examples.label, known)
        gradient = (weight * (p - target) / len(p)).astype(np.float32)
        self._dense.zero_grad(set_to_none=True)
        logit.backward(torch.from_numpy(gradient).to(net.device))
        self._dense.step()
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
        self._last = TorchModel(self.name, self.version, self._frozen_net())
        return self._last

    def _frozen_net(self) -> _Net:
        net = copy.copy(self._net)
        net.model = copy.deepcopy(self._net.model)
        net.table = self._net.table.clone()
        net.number_vectors = torch.nn.Parameter(self._net.number_vectors.detach().clone(), requires_grad=False)
        return net

    def reset(self) -> None:
        self._begin()

    def snapshot(self) -> bytes:
        arrays = {WEIGHTS + name: array for name, array in self._net.arrays().items()}
        arrays |= {f"sparse.{name}": array for name, array in self._sparse.state().items()}
        if self._last is not None:
            arrays |= {f"last.{name}": array for name, array in self._last.weights().items()}
        for i, state in self._dense.state_dict()["state"].items():
            for name, value in state.items():
                if value is not None:
                    arrays[f"dense.{i}.{name}"] = torch.as_tensor(value).cpu().numpy()
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
        sparse = part("sparse.")
        if sparse.keys() != self._sparse.state().keys():
            raise SnapshotError(f"snapshot: its optimiser keeps {sorted(sparse)}, this learner's is another")
        self._sparse.restore(sparse)
        state = self._dense.state_dict()
        state["state"] = {}
        for name, array in part("dense.").items():
            number, key = name.split(".", 1)
            state["state"].setdefault(int(number), {})[key] = torch.from_numpy(array.copy())
        self._dense.load_state_dict(state)
        self.version, self._steps = meta["version"], meta["steps"]
        self._last = None
        if self.version:
            frozen = self._frozen_net()
            frozen.load(part("last."))
            self._last = TorchModel(self.name, self.version, frozen)
