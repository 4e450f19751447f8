"""What a torch learner makes of a batch equals a plain step by torch: autograd, and torch.optim on dense gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from reloop_stream.config import FieldConfig, LearnerConfig
from reloop_stream.events import ListColumn
from reloop_stream.learners import make_learner
from reloop_stream.models import MODELS
from reloop_stream.testing import examples

PLAIN = [
    FieldConfig(name="user", mode="exact", buckets=20),
    FieldConfig(name="item", buckets=16),
    FieldConfig(name="hour", mode="exact", buckets=24),
]
MIXED = [*PLAIN[:2], FieldConfig(name="tags", kind="list", buckets=8), FieldConfig(name="price", kind="number")]


def batch(n: int, seed: int) -> Any:
    rng = np.random.default_rng(seed)
    tags = ListColumn(rng.integers(0, 9, 2 * n), np.arange(0, 2 * n + 1, 2))
    features = {name: rng.integers(0, 30, n) for name in ("user", "item", "hour")}
    return examples(n, seed, features=features | {"tags": tags, "price": rng.uniform(0, 1, n)})


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("fields", [PLAIN, MIXED], ids=["categories", "lists and numbers"])
def test_steps_equal_torch_s_over_batches(model: str, fields: list[FieldConfig]) -> None:
    rule = {"name": "adagrad", "lr": 0.05, "initial_accumulator": 1.0}
    raw = {"model": {"name": model, "embedding": 4, "hidden": [8, 4], "init_scale": 0.3}, "optimizer": rule}
    one, other = (
        make_learner(LearnerConfig.model_validate(raw), fields, name="x", seed=1, base_rate=0.2) for _ in range(2)
    )
    net: Any = other._net  # type: ignore[attr-defined]
    table = torch.nn.Parameter(net.table)
    dense = [torch.nn.Parameter(p.detach().clone()) for p in net.model.parameters()]
    numbers = torch.nn.Parameter(net.number_vectors.detach().clone())
    optimizer = torch.optim.Adagrad([table, numbers, *dense], lr=0.05, initial_accumulator_value=1.0)
    names = [name for name, _ in net.model.named_parameters()]
    for seed, n in enumerate((64, 100, 7, 64)):
        data = batch(n, seed)
        encoded = net.encoder.encode(data.exposures.features)
        parts = [table[torch.from_numpy(encoded.slots)]]
        parts += [table[torch.from_numpy(lists.rows)].view(n, 2, -1).mean(1, keepdim=True) for lists in encoded.lists]
        if len(numbers):
            parts.append(torch.from_numpy(encoded.numbers)[:, :, None] * numbers)
        logit = torch.func.functional_call(net.model, dict(zip(names, dense, strict=True)), (torch.cat(parts, 1),))
        optimizer.zero_grad()
        torch.nn.functional.binary_cross_entropy_with_logits(logit, torch.from_numpy(data.label).float()).backward()
        optimizer.step()
        np.testing.assert_allclose(one.learn(data), torch.sigmoid(logit.detach().double()).numpy(), atol=1e-6)
    found = one._net  # type: ignore[attr-defined]
    for mine, theirs in zip([found.table, *found.model.parameters()], [table, *dense], strict=True):
        torch.testing.assert_close(mine.detach(), theirs.detach(), atol=2e-6, rtol=1e-5)


def test_a_published_version_takes_no_memory_of_its_learner_s_steps() -> None:
    one: Any = make_learner(LearnerConfig(), PLAIN, name="x", seed=1, base_rate=0.2)
    one.learn(batch(64, 1))
    frozen: Any = one.publish()
    assert one._net.model.scratch.take("total", (1,)).untyped_storage().nbytes() > 1000
    assert frozen.net.model.scratch.take("total", (1,)).untyped_storage().nbytes() == 4
    assert frozen.net.model.layers.scratch is not one._net.model.layers.scratch
