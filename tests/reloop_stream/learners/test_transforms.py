"""Every learner sees transformed numbers, from what it learnt before, and keeps what it needs for them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from reloop_stream.config import FieldConfig, LearnerConfig
from reloop_stream.learners import digest, freeze_from_bytes, make_learner
from reloop_stream.learners.base import Learner
from reloop_stream.serving.publisher import SnapshotPublisher
from reloop_stream.serving.scorer import Scorer
from reloop_stream.serving.snapshot import Published
from reloop_stream.testing import examples

FIELDS = [
    FieldConfig(name="user", mode="growing", buckets=40),
    FieldConfig(name="log", kind="number", transform="log1p"),
    FieldConfig(name="z", kind="number", transform="standardised"),
    FieldConfig(name="count", kind="number", transform="buckets", mode="growing", buckets=9),
    FieldConfig(name="band", kind="number", transform="buckets", edges=(0.2, 0.7), mode="exact", buckets=3),
    FieldConfig(name="raw", kind="number"),
]
KINDS: dict[str, dict[str, Any]] = {
    "torch": {"model": {"name": "deepfm", "embedding": 4, "hidden": [8]}},
    "river": {"kind": "river", "model": {"name": "fm", "embedding": 4}},
    "linear": {"kind": "linear", "model": {"name": "fm", "embedding": 4}},
    "memory": {"kind": "linear", "model": {"name": "lr"}, "memory": {"arrays": 2, "bits": 3}},
}


def batch(n: int = 64, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    features = {
        "user": rng.integers(0, 60, n),
        "log": np.rint(rng.lognormal(2, 3, n)) - 2,
        "z": rng.normal(1e6, 1e3, n),
        "count": rng.integers(-2, 500, n),
        "band": rng.uniform(0, 1, n),
        "raw": rng.uniform(0, 1, n),
    }
    return examples(n, seed, features=features)


def config_of(kind: str, **more: Any) -> LearnerConfig:
    return LearnerConfig.model_validate({**KINDS[kind], "loss": {"name": "reloop", "p_last": "last_version"}, **more})


def learner(kind: str, fields: list[FieldConfig] = FIELDS, **more: Any) -> Learner:
    return make_learner(config_of(kind, **more), fields, name="x", seed=1, base_rate=0.2)


def by_hand(data: Any, before: np.ndarray | None) -> dict[str, np.ndarray]:
    """The features as a model without transforms must be given them; before: the numbers `z` that were learnt."""
    x = data.exposures.features
    count, z = x["count"].astype(float), np.zeros(len(data))
    if before is not None:
        z = np.clip((x["z"] - before.mean()) / before.std(), -10, 10)
    with np.errstate(all="ignore"):
        keys = np.where(count > 2, 3 + np.floor(np.log(count) ** 2), count).astype(int)
    log = np.sign(x["log"]) * np.log(1 + np.abs(x["log"]))
    return {**x, "log": log, "z": z, "count": keys, "band": (x["band"] >= 0.2) * 1 + (x["band"] >= 0.7) * 1}


@pytest.mark.parametrize("kind", KINDS)
def test_a_learner_that_transforms_equals_one_that_is_given_the_transformed(kind: str) -> None:
    plain = [
        FieldConfig(name=f.name, kind="category" if f.is_bucketed else f.kind, mode=f.mode, buckets=f.buckets)
        for f in FIELDS
    ]
    one, other = learner(kind), learner(kind, plain)
    learnt: np.ndarray | None = None
    for seed in (1, 2, 3):
        data = batch(seed=seed)
        shown = by_hand(data, learnt)
        given = examples(64, seed, features=shown)
        assert one.predict(data.exposures.features) == pytest.approx(other.predict(shown), rel=1e-5)
        assert one.learn(data) == pytest.approx(other.learn(given), rel=1e-5)
        of_z = data.exposures.features["z"]
        learnt = of_z if learnt is None else np.concatenate((learnt, of_z))
    data = batch(seed=4)
    published, likewise = one.publish(), other.publish()
    shown = by_hand(data, learnt)
    for ask in ("predict", "represent"):
        found, expected = (
            getattr(each, ask)(x) for each, x in ((published, data.exposures.features), (likewise, shown))
        )
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_restored_learner_and_a_published_version_know_the_same_numbers(kind: str, tmp_path: Any) -> None:
    one = learner(kind)
    one.learn(batch(seed=1))
    version = one.publish()
    asked = batch(seed=9).exposures.features
    said = version.predict(asked)
    assert one.predict(asked) == pytest.approx(said, abs=1e-6)
    one.learn(batch(seed=2))
    again = learner(kind)
    again.restore(one.to_bytes())
    for seed in (3, 4):
        assert np.array_equal(one.learn(batch(seed=seed)), again.learn(batch(seed=seed)))
    assert digest(one.to_bytes()) == digest(again.to_bytes()) and np.array_equal(version.predict(asked), said)
    assert np.array_equal(freeze_from_bytes(version.to_bytes(), FIELDS, config_of(kind)).predict(asked), said)
    SnapshotPublisher(config_of(kind), FIELDS, folder=tmp_path).publish(Published("x", 1, 0, 0, version))
    with Scorer(tmp_path, base_rate=0.1, refresh_s=1000) as scorer:
        assert np.array_equal(scorer.score(asked).pctr, said)
    request = {name: asked[name][:8] for name in ("user", "z", "count")}
    item = {name: asked[name][:8] for name in ("log", "band", "raw")}
    candidates = np.arange(8)[:, None]
    assert version.score_candidates(request, item, candidates)[:, 0] == pytest.approx(said[:8], rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_a_batch_and_what_is_only_asked_about_move_no_moments(kind: str) -> None:
    one, other = learner(kind), learner(kind)
    one.learn(batch(seed=1))
    other.learn(batch(seed=1).take(np.random.default_rng(5).permutation(64)))
    for seed in range(3):
        one.predict(batch(seed=seed).exposures.features)
    states = [each.encoder.state()[1]["z.moments"] for each in (one, other)]
    z = batch(seed=1).exposures.features["z"]
    for state in states:
        assert state.tolist() == pytest.approx([64, z.mean(), 64 * z.var()], rel=1e-9)
    one.reset()
    assert one.encoder.state()[1]["z.moments"].tolist() == [0, 0, 0]
