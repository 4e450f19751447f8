"""The error memory: its equation worked by hand, when its base moves on, and restarts and forks."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from reloop_stream.clock import HOUR_MS
from reloop_stream.config import LearnerConfig, MemoryConfig
from reloop_stream.errors import StateError
from reloop_stream.events import ExampleBatch
from reloop_stream.learners import digest, freeze_from_bytes, make_learner
from reloop_stream.learners.base import Learner
from reloop_stream.learners.error_memory import ErrorMemory
from reloop_stream.state.packing import pack
from tests.reloop_stream.learners.test_learners import FIELDS, batch

MEMORY = {"arrays": 3, "bits": 3, "weight": 0.5}


def config_of(memory: dict[str, Any] | None = MEMORY, **settings: Any) -> LearnerConfig:
    raw: dict[str, Any] = {"model": {"name": "fm", "embedding": 4}, "optimizer": {"name": "sgd", "lr": 0.5}}
    return LearnerConfig.model_validate(raw | {"memory": memory} | settings)


def learner(memory: dict[str, Any] | None = MEMORY, **settings: Any) -> Learner:
    return make_learner(config_of(memory, **settings), FIELDS, name="x", seed=1, base_rate=0.2)


def at_hour(data: ExampleBatch, hour: float) -> ExampleBatch:
    """The same rows, their labels known at this hour."""
    label_ms = np.full(len(data), round(hour * HOUR_MS))
    return ExampleBatch(data.exposures, data.label, label_ms, data.status)


def test_the_equation_by_hand() -> None:
    """Representations along one axis have one of two signs, so each array has two buckets in use: right and left."""
    right, left = np.array([[1.0, 0.0]], dtype=np.float32), np.array([[-2.0, 0.0]], dtype=np.float32)
    for gamma, of_right in ((1.0, 0.5 - 0.2), (0.0, 0.5 - 0.3), (0.25, 0.5 - 0.25 * 0.2 - 0.75 * 0.3)):
        memory = ErrorMemory(MemoryConfig(arrays=4, bits=2, weight=0.1, gamma=gamma), seed=7)
        for label, base in ((1, 0.4), (0, 0.2)):  # a mean label of .5, a mean base prediction of .3
            memory.write(right, np.array([label]), np.array([base]))
        assert memory.correct(right, np.array([0.2])) == pytest.approx([0.2 + 0.1 * of_right])
        assert memory.correct(left, np.array([0.2])) == [0.2]  # nothing has come of its kind
        memory.clear()
        assert memory.correct(right, np.array([0.2])) == [0.2]


def test_a_correction_stays_a_probability() -> None:
    row = np.ones((1, 2), dtype=np.float32)
    memory = ErrorMemory(MemoryConfig(arrays=1, bits=1, weight=1.0, gamma=0.0), seed=1)
    memory.write(row, np.array([1]), np.array([0.1]))
    assert memory.correct(row, np.array([0.8])) == [1.0]
    memory.clear()
    memory.write(row, np.array([0]), np.array([0.9]))
    assert memory.correct(row, np.array([0.3])) == [0.0]


def test_buckets_against_a_naive_implementation() -> None:
    rng = np.random.default_rng(0)
    config = MemoryConfig(arrays=3, bits=2, weight=0.3, gamma=0.6)
    memory = ErrorMemory(config, seed=5)
    h, y, p = rng.normal(size=(40, 6)).astype(np.float32), rng.integers(0, 2, 40), rng.uniform(0, 1, 40)
    memory.write(h[:20], y[:20], p[:20])
    planes = np.random.default_rng((5, 6)).standard_normal((6, 6))

    def bucket(row: np.ndarray, array: int) -> tuple[bool, ...]:
        return tuple(float(row.astype(np.float64) @ planes[:, 2 * array + bit]) > 0 for bit in range(2))

    for i in range(20, 40):
        errors = []
        for array in range(3):
            alike = [j for j in range(20) if bucket(h[j], array) == bucket(h[i], array)]
            if alike:
                errors.append(np.mean(y[alike]) - 0.6 * p[i] - 0.4 * np.mean(p[alike]))
        expected = p[i] + 0.3 * np.mean(errors) if errors else p[i]
        assert memory.correct(h[i : i + 1], p[i : i + 1])[0] == pytest.approx(np.clip(expected, 0, 1), abs=1e-12)


def test_writing_at_once_and_one_by_one_is_the_same() -> None:
    rng = np.random.default_rng(0)
    h, y, p = rng.normal(size=(30, 4)).astype(np.float32), rng.integers(0, 2, 30), rng.uniform(0, 1, 30)
    whole, parts = (ErrorMemory(MemoryConfig(arrays=2, bits=3), seed=2) for _ in range(2))
    whole.write(h, y, p)
    for i in range(30):
        parts.write(h[i : i + 1], y[i : i + 1], p[i : i + 1])
    assert np.array_equal(whole.sums, parts.sums) and whole.sums[:, :, 0].sum() == 60


def test_nothing_is_remembered_before_a_version_is_out() -> None:
    one, plain = learner(), learner(None)
    for data in (batch(seed=1), batch(seed=2)):
        assert np.array_equal(one.learn(data), plain.learn(data))
        one.remember(data)
    features = batch(9, seed=3).exposures.features
    assert np.array_equal(one.publish().predict(features), plain.publish().predict(features))


def test_a_published_version_is_the_base_with_a_copy_of_the_memory() -> None:
    one, plain = learner(), learner(None)
    first = batch(seed=1)
    for each in (one, plain):
        each.learn(first)
    one.publish()
    base = plain.publish()
    seen = at_hour(batch(seed=2), 1)
    features = batch(20, seed=3).exposures.features
    by_hand = ErrorMemory(MemoryConfig.model_validate(MEMORY), seed=1)
    by_hand.write(base.represent(seen.exposures.features), seen.label, base.predict(seen.exposures.features))
    before = one.predict(seen.exposures.features)
    assert np.array_equal(one.learn(seen), before)  # said before it learnt, and before it remembered
    one.remember(seen)
    published = one.publish()
    expected = by_hand.correct(base.represent(features), base.predict(features))
    assert np.array_equal(published.predict(features), expected)  # the inner learner has learnt on; the base has not
    assert np.array_equal(one.predict(features), expected) and not np.array_equal(expected, base.predict(features))
    one.remember(at_hour(batch(seed=4), 2))
    assert np.array_equal(published.predict(features), expected)
    assert (published.version, one.version, published.name) == (2, 2, "x")
    thawed = freeze_from_bytes(published.to_bytes(), FIELDS, config_of())
    assert np.array_equal(thawed.predict(features), expected) and thawed.version == 2


def corrects(one: Learner) -> bool:
    """Whether what it would publish next differs from the model that it corrects."""
    features = batch(50, seed=9).exposures.features
    copy = one.inner  # type: ignore[attr-defined]
    return not np.array_equal(one.publish().predict(features), copy.predict(features))


@pytest.mark.parametrize("hours, moves", [(23.0, False), (24.0, True)])
def test_the_base_moves_on_and_the_memory_is_emptied_after_its_hours(hours: float, moves: bool) -> None:
    one = learner({**MEMORY, "base_every_hours": 24})
    one.remember(at_hour(batch(seed=1), 100))
    one.publish()
    one.remember(at_hour(batch(seed=2), 100 + hours))
    assert corrects(one) == (not moves)


def test_without_learning_the_base_stays_and_with_a_window_each_retraining_moves_it() -> None:
    for updating in ({"mode": "none"}, {"mode": "window"}, {"mode": "fine_tune"}):
        one = learner(updating=updating)
        one.remember(at_hour(batch(seed=1), 0))
        one.publish()
        one.remember(at_hour(batch(seed=2), 1000))
        assert corrects(one)
        one.retrained()
        assert not corrects(one)


@pytest.mark.parametrize("published", [0, 1, 2])
def test_a_restored_memory_goes_on_as_if_it_had_never_stopped(published: int) -> None:
    settings = {**MEMORY, "gamma": 0.3, "base_every_hours": 3}
    one = learner(settings)
    hours = itertools.count()
    for number in range(3):
        data = at_hour(batch(seed=number), next(hours))
        one.learn(data)
        one.remember(data)
        if number < published:
            one.publish()
    if published == 2:
        one.retrained()
    other = learner(settings)
    other.restore(one.to_bytes())
    features = batch(20, seed=30).exposures.features
    for number in range(4, 9):
        data = at_hour(batch(seed=number), next(hours))
        assert np.array_equal(one.learn(data), other.learn(data))
        for each in (one, other):
            each.remember(data)
        assert np.array_equal(one.publish().predict(features), other.publish().predict(features))
    assert one.to_bytes() == other.to_bytes() and digest(one.to_bytes()) == digest(other.to_bytes())


def test_predicting_changes_nothing() -> None:
    one = learner()
    one.publish()
    one.remember(at_hour(batch(seed=2), 1))
    state = one.to_bytes()
    one.predict(batch(seed=3).exposures.features)
    assert one.to_bytes() == state


def test_learners_with_and_without_a_memory_fork_from_each_other() -> None:
    plain, remembering = learner(None), learner()
    features = batch(20, seed=7).exposures.features
    for one in (plain, remembering):
        one.learn(batch(seed=1))
        one.publish()
        one.remember(at_hour(batch(seed=2), 1))
    fork, back = learner(), learner(None)
    fork.restore(plain.to_bytes())
    back.restore(remembering.to_bytes())
    assert np.array_equal(fork.predict(features), plain.predict(features)) and fork.version == 1
    assert np.array_equal(back.predict(features), plain.predict(features)) and back.version == 1
    assert np.array_equal(back.learn(batch(seed=5)), plain.learn(batch(seed=5)))
    of_another_shape = learner({**MEMORY, "bits": 4})
    of_another_shape.restore(remembering.to_bytes())
    assert np.array_equal(of_another_shape.predict(features), fork.predict(features))


def test_a_damaged_memory_is_named() -> None:
    with pytest.raises(StateError, match="holds no error memory"):
        freeze_from_bytes(pack({"kind": "memory", "name": "x", "version": 1}, {}), FIELDS, config_of())
