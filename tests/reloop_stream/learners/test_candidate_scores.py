"""Scores of candidates do not depend on which others are scored in the same call."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from reloop_stream.config import FieldConfig, LearnerConfig
from reloop_stream.learners import make_learner
from reloop_stream.learners.torch_learner import TorchModel
from reloop_stream.models import MODELS

USERS, ITEMS, REQUESTS, K = 500, 300, 130, 30  # more than one pass


@pytest.mark.parametrize("name", MODELS)
def test_any_part_of_the_requests_has_the_scores_that_it_has_among_all(name: str) -> None:
    sizes = {"user": USERS, "hour": 24, "item": ITEMS, "topic": 20}
    fields = [FieldConfig(name=field, mode="exact", buckets=size) for field, size in sizes.items()]
    config = LearnerConfig.model_validate({"model": {"name": name}})
    version = make_learner(config, fields, name="a", seed=1, base_rate=0.08).publish()
    assert isinstance(version, TorchModel)
    rng = np.random.default_rng(0)
    version.net.table.copy_(torch.from_numpy(rng.normal(scale=0.5, size=version.net.table.shape)))
    requests = {field: rng.integers(0, sizes[field], REQUESTS) for field in ("user", "hour")}
    items = {"item": np.arange(ITEMS), "topic": rng.integers(0, 20, ITEMS)}
    candidates = rng.integers(0, ITEMS, (REQUESTS, K))
    whole = version.score_candidates(requests, items, candidates)
    assert np.ptp(whole) > 0.01
    for some in (np.array([3]), np.arange(5, 9), np.arange(1, REQUESTS, 2), np.arange(20, 127)):
        used, numbered = np.unique(candidates[some], return_inverse=True)
        found = version.score_candidates(
            {field: column[some] for field, column in requests.items()},
            {field: column[used] for field, column in items.items()},
            numbered.reshape(len(some), K),
        )
        assert np.array_equal(found, whole[some])
