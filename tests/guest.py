"""A guest in a program: what a process has one of stays as its program had it, whatever of ours is used in it."""

from __future__ import annotations

import logging
import os
import random
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
import torch

import reloop_stream
import simulator
from reloop_stream.config import FieldConfig, LearnerConfig
from reloop_stream.events import ExampleBatch
from reloop_stream.river import MiniBatchClassifier, ReLoopFMClassifier, ReLoopLogisticRegression
from reloop_stream.runtime.torch_state import one_thread
from reloop_stream.serving.publisher import SnapshotPublisher
from reloop_stream.testing import examples

FIELDS = [FieldConfig(name="page", mode="hashed", buckets=32), FieldConfig(name="price", kind="number")]
THREADS = 3  # neither one nor a default


def state_of_the_process() -> dict[str, Any]:
    """What a process has one of, and a library might change for it."""
    return {
        "torch's threads": torch.get_num_threads(),
        "torch's draws": torch.get_rng_state().tolist(),
        "numpy's draws": repr(np.random.get_state()),
        "Python's draws": random.getstate(),
        "torch's default type": torch.get_default_dtype(),
        "torch's determinism": torch.are_deterministic_algorithms_enabled(),
        "torch's gradients": torch.is_grad_enabled(),
        "numpy's errors": np.geterr(),
        "numpy's printing": repr(np.get_printoptions()),
        "signals": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "loggers": [(one.level, one.propagate, [*one.handlers], [*one.filters]) for one in map(logging.getLogger, LOGGERS)],
        "warnings": [*warnings.filters],
        "plots": dict(matplotlib.rcParams),
        "environment": dict(os.environ),
        "folder": Path.cwd(),
        "path of modules": [*sys.path],
        "main module": sys.modules["__main__"],
        "hooks": (sys.excepthook, sys.stdout, sys.stderr),
    }  # fmt: skip


LOGGERS = (None, "kafka", "reloop_stream", "simulator", "numba", "matplotlib")


def check_that_it_is_a_guest(action: Callable[[], Any]) -> None:
    """A program with habits of its own does it; afterwards it has them still."""
    action()  # what it loads of other packages may change what it likes, once
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        torch.rand(3), np.random.rand(3), random.random()  # somewhere in its draws
        kept = state_of_the_process()
        action()
        now = state_of_the_process()
    finally:
        torch.set_num_threads(before)
    for name, value in kept.items():
        assert now[name] == value, name


def batch() -> ExampleBatch:
    return examples(64, 0, features={"page": np.arange(64), "price": np.linspace(0, 1, 64)})


def make_learner(config: dict[str, Any]) -> reloop_stream.Learner:
    return reloop_stream.make_learner(LearnerConfig.model_validate(config), FIELDS, name="guest", seed=1, base_rate=0.1)


LEARNERS: list[dict[str, Any]] = [
    {"model": {"name": "deepfm", "hidden": [8], "dropout": 0.5}},
    {"model": {"name": "fm"}, "memory": {"bits": 4}},
    {"kind": "linear", "model": {"name": "fm"}},
    {"kind": "river", "model": {"name": "fm"}},
]


@pytest.mark.parametrize(
    "config", LEARNERS, ids=lambda config: f"{config.get('kind', 'torch')} {config['model']['name']}"
)
def test_learning_is_a_guest(config: dict[str, Any]) -> None:
    def learn() -> None:
        learner = make_learner(config)
        learner.learn(batch())
        learner.publish().predict(batch().exposures.features)
        learner.restore(learner.to_bytes())

    check_that_it_is_a_guest(learn)


@pytest.mark.parametrize(
    "make",
    [
        lambda: MiniBatchClassifier(model="deepfm", batch_size=2, fields={"page": "category"}),
        lambda: ReLoopFMClassifier(seed=1),
        ReLoopLogisticRegression,
    ],
    ids=["mini-batches", "fm", "lr"],
)
def test_an_estimator_for_river_is_a_guest(make: Callable[[], Any]) -> None:
    def learn() -> None:
        model = make()
        for y in (0, 1, 1, 0):
            model.learn_one({"page": 1.0}, y, p_last=0.3)
        model.clone().predict_proba_one({"page": 1.0})

    check_that_it_is_a_guest(learn)


def test_serving_is_a_guest(tmp_path: Path) -> None:
    learner = make_learner(LEARNERS[0])
    published = reloop_stream.Published("guest", 1, 0, 0, learner.publish())
    config = LearnerConfig.model_validate(LEARNERS[0])
    SnapshotPublisher(config, FIELDS, folder=tmp_path).publish(published)

    def serve() -> None:
        with reloop_stream.Scorer(tmp_path, base_rate=0.1) as scorer:
            assert scorer.score(batch().exposures.features).model_version == 1

    check_that_it_is_a_guest(serve)


def test_a_log_and_metrics_are_guests(tmp_path: Path) -> None:
    def follow() -> None:
        reloop_stream.StreamMetrics().add(np.array([0.1, 0.4]), np.array([0, 1]))
        topic = reloop_stream.Partition("topic", 0)
        with reloop_stream.open_log(tmp_path) as log:
            log.create_topics({"topic": 1})
            producer = log.producer()
            producer.append(topic, b"value")
            producer.close()
            reader = log.reader({topic: 0})
            assert {record.value for record in reader.poll()} == {b"value"}
            reader.close()

    check_that_it_is_a_guest(follow)


@pytest.mark.slow
def test_a_run_is_a_guest(tiny: Path, tmp_path: Path) -> None:
    folders = iter((tmp_path / "one", tmp_path / "two"))
    check_that_it_is_a_guest(lambda: simulator.run(tiny, out=next(folders), workers=1, quiet=True))


def test_what_is_borrowed_is_one_thread_and_is_given_back_after_an_error_too() -> None:
    @one_thread()
    def fail() -> None:
        raise ArithmeticError(torch.get_num_threads())

    before = torch.get_num_threads()
    with pytest.raises(ArithmeticError, match=r"^1$"):
        fail()
    assert torch.get_num_threads() == before


def test_dropout_draws_the_same_whatever_the_program_around_drew() -> None:
    def weights(drawn: int) -> bytes:
        torch.rand(drawn)
        learner = make_learner(LEARNERS[0])
        learner.learn(batch())
        torch.rand(drawn)
        learner.learn(batch())
        return learner.to_bytes()

    assert weights(0) == weights(5)
