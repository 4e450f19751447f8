"""CTR backbones in torch, learnt batch by batch and published as frozen copies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from reloop_stream.config import FieldConfig, LearnerConfig
from reloop_stream.errors import StateError
from reloop_stream.events import Column, ExampleBatch
from reloop_stream.features.check import check_examples
from reloop_stream.features.encoder import Encoded, Encoder
from reloop_stream.learners.base import WithoutMemory, batch_by_batch, check_finite
from reloop_stream.learners.candidate_scores import score_candidates
from reloop_stream.learners.last_predictions import groups_of, last_predictions
from reloop_stream.learners.sparse_updates import TableUpdates
from reloop_stream.learners.torch_net import Net, sigmoid
from reloop_stream.losses import WITHOUT_LAST, target_and_weight
from reloop_stream.runtime.torch_state import drawing_from
from reloop_stream.state.packing import pack, part_of, prefixed, unpack

__all__ = ["TorchLearner", "TorchModel"]

WEIGHTS = "weights."
VOCABULARY = "vocabulary."
LAST_WEIGHTS = "last."
LAST_VOCABULARY = "last_vocabulary."


class TorchModel:
    """A frozen version of a torch model."""

    def __init__(self, name: str, version: int, net: Net) -> None:
        self.name = name
        self.version = version
        self.net = net

    def predict(self, features: Mapping[str, Column]) -> np.ndarray:
        return self.net.predict(features)

    def represent(self, features: Mapping[str, Column]) -> np.ndarray:
        return self.net.represent(features)

    def score_candidates(
        self, request_features: Mapping[str, Column], item_features: Mapping[str, Column], candidates: np.ndarray
    ) -> np.ndarray:
        return score_candidates(self.net, request_features, item_features, candidates)

    def to_bytes(self) -> bytes:
        vocabulary, values = self.net.encoder.state()
        meta = {"kind": "torch", "name": self.name, "version": self.version, "vocabulary": vocabulary}
        return pack(meta, prefixed(WEIGHTS, self.net.arrays()) | prefixed(VOCABULARY, values))

    @classmethod
    def from_state(
        cls,
        meta: Mapping[str, Any],
        arrays: Mapping[str, np.ndarray],
        fields: Sequence[FieldConfig],
        config: LearnerConfig,
    ) -> Self:
        """Raises StateError where the state is another model's."""
        if meta.get("kind") != "torch":
            raise StateError(f"state: is of kind {meta.get('kind')!r}, expected a torch model")
        net = Net(config, fields, seed=0, base_rate=0.5)
        # As in what was published: where a gradient may be asked for, torch multiplies some matrices in another way, which
        # rounds otherwise.
        net.model.requires_grad_(False)
        net.load(part_of(WEIGHTS, arrays), (meta.get("vocabulary", {}), part_of(VOCABULARY, arrays)))
        return cls(meta["name"], meta["version"], net)


class _Prepared(NamedTuple):
    """What steps need of examples. Every array is [n]."""

    encoded: Encoded
    label: np.ndarray  # float64
    p_last: np.ndarray
    known: np.ndarray
    group: np.ndarray | None
    weight: np.ndarray | None

    def part(self, rows: slice) -> _Prepared:
        group = None if self.group is None else self.group[rows]
        weight = None if self.weight is None else self.weight[rows]
        encoded = self.encoded.part(rows)
        return _Prepared(encoded, self.label[rows], self.p_last[rows], self.known[rows], group, weight)


class TorchLearner(WithoutMemory):
    """A torch backbone that learns batch by batch.

    One step: gather the batch's rows of the table, go forward and backward through the model, and from its input on through
    lists and numbers where there are any, update the dense parameters and the touched rows of the table by `TableUpdates`.
    The loss enters through its gradient with respect to the logit,
    weight · (p - target) / n, so all losses share one path and cost the same; n counts rows whatever their events' weights,
    so that a row of weight 2 pulls as two of weight 1 do. Values new to a growing field get their rows
    before the step, so what `learn` returns sees them as new ones, where `predict` sees unknown ones.
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
        self._rate = 1.0
        self._steps = 0  # seeds dropout, so that a restored learner goes on as if it had never stopped
        self._begin()

    def _begin(self) -> None:
        self._net = Net(self._config, self._fields, self._seed, self._base_rate)
        optimizer = self._config.optimizer
        self._dense = TableUpdates(optimizer, self._net.dense[None], optimizer.lr)
        self._sparse = TableUpdates(optimizer, self._net.table, optimizer.embedding_lr or optimizer.lr, optimizer.l2)
        self._only_row = torch.zeros(1, dtype=torch.int64, device=self._net.device)
        self.rate = self._rate

    @property
    def encoder(self) -> Encoder:
        return self._net.encoder

    @property
    def rate(self) -> float:
        return self._rate

    @rate.setter
    def rate(self, rate: float) -> None:
        if not rate > 0:
            raise ValueError(f"rate: got {rate}, must be above 0")
        self._rate = self._dense.rate = self._sparse.rate = rate

    def predict(self, features: Mapping[str, Column]) -> np.ndarray:
        return self._net.predict(features)

    def learn(self, examples: ExampleBatch, foreign: np.ndarray | None = None, size: int | None = None) -> np.ndarray:
        check_examples(examples, foreign)
        n = len(examples)
        if not n:  # Adam would take a step from its momentum
            return np.zeros(0)
        if size is None or n <= size:
            return self._step(self._prepared(examples, foreign))
        if not self._prepares_alike(foreign):
            return batch_by_batch(lambda *batch: self._step(self._prepared(*batch)), examples, foreign, size)
        prepared, pctr = self._prepared(examples, foreign), np.empty(n)
        for at in range(0, n, size):
            rows = slice(at, at + size)
            pctr[rows] = self._step(prepared.part(rows))
        return pctr

    def _prepares_alike(self, foreign: np.ndarray | None) -> bool:
        """Whether what a batch needs does not depend on the batches before it, nor on how the rows are cut."""
        loss = self._config.loss
        predicts = loss.name not in WITHOUT_LAST and (loss.p_last == "last_version" or foreign is not None)
        return self._net.encoder.is_fixed and loss.level == "item" and not predicts

    def _prepared(self, examples: ExampleBatch, foreign: np.ndarray | None) -> _Prepared:
        net, loss, features = self._net, self._config.loss, examples.exposures.features
        if net.learn_values(features):
            self._sparse.follow(net.table)
        p_last, known = last_predictions(loss, examples, foreign, self._last)
        encoded = net.encoder.encode(features)
        net.encoder.learn_numbers(features)
        label, weight = examples.label.astype(np.float64), examples.exposures.weight
        return _Prepared(encoded, label, p_last, known, groups_of(loss, examples), weight)

    def _step(self, rows: _Prepared) -> np.ndarray:
        net, loss, encoded = self._net, self._config.loss, rows.encoded
        leaf, pooled = net.gathered(encoded)
        x = net.assemble(leaf, encoded, pooled, net.all_numbers())
        drops = self._config.model.dropout > 0
        if drops:
            before = sigmoid(net.model(x.detach()).detach())
            with drawing_from(self._seed * 1_000_003 + self._steps, net.device):
                net.model.train()
                logit, kept = net.model.forward_keeping(x)
            net.model.eval()
        else:
            logit, kept = net.model.forward_keeping(x)
        p = sigmoid(logit)
        target, weight = target_and_weight(loss, p, rows.p_last, rows.label, rows.known, rows.group, rows.weight)
        gradient = (weight * (p - target) / len(p)).astype(np.float32)
        net.gradient.zero_()
        d_x = net.model.backward(torch.from_numpy(gradient).to(net.device), kept)
        pairs: list[tuple[np.ndarray, Tensor | None]] = [(encoded.slots.ravel(), d_x)]
        if x is not leaf:
            x.backward(d_x)
            pairs = [(encoded.slots.ravel(), leaf.grad)]
            pairs += [(one.rows, tensor.grad) for one, tensor in zip(encoded.lists, pooled, strict=True)]
        self._dense.step(self._only_row, net.gradient[None])
        self._step_table(pairs)
        self._steps += 1
        return before if drops else p

    def _step_table(self, pairs: Sequence[tuple[np.ndarray, Tensor | None]]) -> None:
        """pairs: rows of the table, and the gradient of each."""
        width = self._net.table.shape[1]
        slots = [torch.from_numpy(rows).to(self._net.device) for rows, gradient in pairs if gradient is not None]
        gradients = [gradient.reshape(-1, width) for _, gradient in pairs if gradient is not None]
        one = len(slots) == 1
        self._sparse.step(slots[0] if one else torch.cat(slots), gradients[0] if one else torch.cat(gradients))

    def publish(self) -> TorchModel:
        check_finite(self.name, self.version, self._net.arrays())
        self.version += 1
        self._last = TorchModel(self.name, self.version, self._net.frozen())
        return self._last

    def reset(self) -> None:
        self._begin()

    def to_bytes(self) -> bytes:
        check_finite(self.name, self.version, self._net.arrays())
        vocabulary, values = self._net.encoder.state()
        arrays = prefixed(WEIGHTS, self._net.arrays()) | prefixed(VOCABULARY, values)
        arrays |= prefixed("sparse.", self._sparse.state()) | prefixed("dense.", self._dense.state())
        meta = {"kind": "torch", "name": self.name, "version": self.version, "steps": self._steps, "rate": self._rate}
        meta["vocabulary"] = vocabulary
        if self._last is not None:
            meta["last_vocabulary"], values = self._last.net.encoder.state()
            arrays |= prefixed(LAST_WEIGHTS, self._last.net.arrays()) | prefixed(LAST_VOCABULARY, values)
        return pack(meta, arrays)

    def restore(self, data: bytes) -> None:
        meta, arrays = unpack(data)
        if meta.get("kind") != "torch" or "steps" not in meta:
            raise StateError(f"state: of kind {meta.get('kind')!r} is none of a torch learner")
        self._begin()
        self._net.load(part_of(WEIGHTS, arrays), (meta.get("vocabulary", {}), part_of(VOCABULARY, arrays)))
        self._sparse.follow(self._net.table)
        for prefix, updates in (("sparse.", self._sparse), ("dense.", self._dense)):
            state = part_of(prefix, arrays)
            if state.keys() != updates.state().keys():
                raise StateError(f"state: its optimiser keeps {sorted(state)}, this learner's is another")
            updates.restore(state)
        self.version, self._steps, self.rate = meta["version"], meta["steps"], meta.get("rate", 1.0)
        self._last = None
        if self.version:
            frozen = self._net.frozen()
            last = meta.get("last_vocabulary", {}), part_of(LAST_VOCABULARY, arrays)
            frozen.load(part_of(LAST_WEIGHTS, arrays), last)
            self._last = TorchModel(self.name, self.version, frozen)
