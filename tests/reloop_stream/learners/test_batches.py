"""Rows given together to be learnt in batches are learnt as the batches one by one would be, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from reloop_stream.config import FieldConfig, LearnerConfig
from reloop_stream.events import ListColumn
from reloop_stream.learners import digest, make_learner
from reloop_stream.testing import examples

PLAIN = [FieldConfig(name="user", mode="exact", buckets=50), FieldConfig(name="item", buckets=32)]
MIXED = [*PLAIN, FieldConfig(name="tags", kind="list", buckets=16), FieldConfig(name="price", kind="number")]
GROWING = [FieldConfig(name="user", mode="growing", buckets=50), PLAIN[1]]
STANDARDISED = [*PLAIN, FieldConfig(name="price", kind="number", transform="standardised")]


def data(n: int, seed: int) -> Any:
    rng = np.random.default_rng(seed)
    offsets = np.concatenate(([0], np.cumsum(rng.integers(0, 3, n))))
    total = int(offsets[-1])
    tags = ListColumn(rng.integers(0, 9, total), offsets, rng.uniform(0, 2, total))
    features = {"user": rng.integers(0, 60, n), "item": rng.integers(0, 60, n), "tags": tags}
    return examples(n, seed, features={**features, "price": rng.uniform(0, 1, n)}, weight=rng.uniform(0.5, 2, n))


@pytest.mark.parametrize("kind, model", [("torch", "deepfm"), ("river", "lr"), ("linear", "fm")])
@pytest.mark.parametrize(
    "fields, settings, has_foreign",
    [
        (PLAIN, {"loss": {"name": "bce"}}, False),
        (PLAIN, {"loss": {"name": "reloop"}}, False),
        (PLAIN, {"loss": {"name": "reloop"}}, True),
        (PLAIN, {"loss": {"name": "reloop", "p_last": "last_version"}}, False),
        (PLAIN, {"loss": {"name": "reloop", "level": "list"}}, False),
        (PLAIN, {"loss": {"name": "reloop", "level": "session"}}, False),
        (PLAIN, {"loss": {"name": "fnc"}}, True),
        (MIXED, {"loss": {"name": "fnw"}}, False),
        (GROWING, {}, False),
        (STANDARDISED, {}, False),
    ],
)
def test_in_one_call_or_batch_by_batch(
    kind: str, model: str, fields: list[FieldConfig], settings: dict[str, Any], has_foreign: bool
) -> None:
    raw = {"kind": kind, "model": {"name": model, "embedding": 4, "hidden": [8]}, **settings}
    one, other = (
        make_learner(LearnerConfig.model_validate(raw), fields, name="x", seed=1, base_rate=0.2) for _ in range(2)
    )
    for learner in (one, other):
        learner.learn(data(40, 1))
        learner.publish()
    new, foreign = data(50, 2), np.arange(50) % 3 == 0 if has_foreign else None
    parts = [slice(0, 16), slice(16, 32), slice(32, 48), slice(48, 50)]
    singly = [other.learn(new.part(rows), None if foreign is None else foreign[rows]) for rows in parts]
    assert np.array_equal(one.learn(new, foreign, 16), np.concatenate(singly))
    assert digest(one.to_bytes()) == digest(other.to_bytes())
