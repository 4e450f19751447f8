"""Fake negative calibration: learnt as cross-entropy, served as p / (1 - p)."""

from __future__ import annotations

import numpy as np
import pytest

from reloop_stream.config import FieldConfig, LearnerConfig
from reloop_stream.events import ExampleBatch
from reloop_stream.learners import digest, freeze_from_bytes, make_learner
from reloop_stream.learners.base import Learner
from reloop_stream.learners.delayed_feedback import calibrate
from reloop_stream.testing import examples

FIELDS = [FieldConfig(name="item", mode="exact", buckets=3)]


def config_of(loss: str) -> LearnerConfig:
    raw = {"model": {"name": "lr"}, "optimizer": {"name": "sgd", "lr": 0.5}, "loss": {"name": loss}}
    return LearnerConfig.model_validate(raw)


def learner(loss: str) -> Learner:
    return make_learner(config_of(loss), FIELDS, name="x", seed=1, base_rate=0.1)


def shown(clicks: int, n: int = 100) -> ExampleBatch:
    """One item's stream as `emit: at_once` gives it: n exposures as negatives, and then its clicks as positives."""
    made = examples(n + clicks, features={"item": np.zeros(n + clicks, dtype=np.int64)})
    label = (np.arange(n + clicks) >= n).astype(np.uint8)
    return ExampleBatch(made.exposures, label, made.label_time_ms, label)


def test_what_is_served_is_calibrated_and_what_is_learnt_is_not() -> None:
    plain, calibrated = learner("bce"), learner("fnc")
    features = shown(1).exposures.features
    for one in (plain, calibrated):
        one.learn(shown(30))
    biased = plain.predict(features)
    expected = biased / (1 - biased)
    assert np.array_equal(calibrated.predict(features), expected)
    published = calibrated.publish()
    assert np.array_equal(published.predict(features), expected) and published.version == 1
    thawed = freeze_from_bytes(published.to_bytes(), FIELDS, config_of("fnc"))
    assert np.array_equal(thawed.predict(features), expected)
    item = {"item": np.arange(3)}
    scores = thawed.score_candidates({"hour": np.zeros(2)}, item, np.array([[0, 1], [2, 0]]))
    np.testing.assert_allclose(scores[0], thawed.predict(item)[:2], atol=1e-12)
    assert np.array_equal(calibrated.learn(shown(30)), calibrate(plain.learn(shown(30))))
    assert digest(plain.to_bytes()) == digest(calibrated.to_bytes())


@pytest.mark.parametrize("clicks", [5, 30])
def test_where_the_click_rate_is_q_fnw_and_fnc_come_to_q_and_cross_entropy_to_less(clicks: int) -> None:
    found, q = {}, clicks / 100
    for loss in ("bce", "fnw", "fnc"):
        one = learner(loss)
        for _ in range(400):
            one.learn(shown(clicks))
        found[loss] = one.predict({"item": np.zeros(1, dtype=np.int64)})[0]
    assert found == pytest.approx({"bce": q / (1 + q), "fnw": q, "fnc": q}, abs=2e-3)


def test_arms_with_and_without_it_fork_from_each_other() -> None:
    plain = learner("bce")
    plain.learn(shown(30))
    plain.publish()
    fork = learner("fnc")
    fork.restore(plain.to_bytes())
    item = {"item": np.zeros(1, dtype=np.int64)}
    assert fork.version == 1 and fork.predict(item) == calibrate(plain.predict(item))
    assert fork.to_bytes() == plain.to_bytes()
