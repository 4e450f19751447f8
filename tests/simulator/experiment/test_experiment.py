"""Assignment, and which rows an arm's learner trains on."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest

from reloop_stream.events import ExampleBatch
from reloop_stream.testing import examples
from simulator.experiment.assignment import Assignment, hash_to_unit
from simulator.experiment.training_rows import training_rows

NAMES = ["control", "reloop"]


def test_the_hash_is_planout_s() -> None:
    digits = hashlib.sha1(b"feed.salt.42", usedforsecurity=False).hexdigest()[:15]
    assert hash_to_unit("feed.salt.42") == int(digits, 16) / 0xFFFFFFFFFFFFFFF


@pytest.mark.parametrize("shares", [[0.5, 0.5], [0.8, 0.1, 0.1], [1.0]])
def test_users_are_split_by_the_shares_and_stick(shares: list[float]) -> None:
    users = np.arange(20_000)
    arms = Assignment("feed", "1", shares).arms(users)
    assert np.allclose(np.bincount(arms, minlength=len(shares)) / len(users), shares, atol=0.015)
    some = np.array([5, 17, 5, 11_000])
    assert np.array_equal(Assignment("feed", "1", shares).arms(some), arms[some])


@pytest.mark.parametrize(
    "users", [np.arange(300), np.array(["anna", "Ödön", "7"], dtype=object)], ids=["numbers", "texts"]
)
def test_users_looked_up_together_are_where_each_alone_would_be(users: np.ndarray) -> None:
    shares = [0.3, 0.3, 0.4]
    assignment = Assignment("feed", "1", shares)
    assignment.arms(users[:2])
    for found, prefix, ends in (
        (assignment.arms(users), "feed.1.", [0.3, 0.6, 1.0]),
        (assignment.parts(users), "feed.1.part.", [1 / 3, 2 / 3, 1.0]),
    ):
        alone = [next(i for i, end in enumerate(ends) if hash_to_unit(f"{prefix}{user}") <= end) for user in users]
        assert found.tolist() == alone


def test_experiments_salts_and_parts_split_independently() -> None:
    users = np.arange(20_000)
    one = Assignment("feed", "1", [0.5, 0.5])
    others = [Assignment("feed", "2", [0.5, 0.5]).arms(users), Assignment("x", "1", [0.5, 0.5]).arms(users)]
    for other in (*others, one.parts(users)):
        assert abs(np.corrcoef(one.arms(users), other)[0, 1]) < 0.03


def mixed() -> ExampleBatch:
    """Rows of both arms, before and after the fork at 2 hours."""
    batches = [examples(40, seed=i, arm=name, at_ms=at, first_id=100 * i) for i, (name, at) in enumerate(
        (name, at) for name in NAMES for at in (0, 7_200_000)
    )]  # fmt: skip
    return ExampleBatch.concat(batches)


@pytest.mark.parametrize("rule", ["own", "shared", "co_diverted"])
def test_who_trains_on_what_after_the_fork(rule: Any) -> None:
    rows, assignment, fork = mixed(), Assignment("feed", "1", [0.5, 0.5]), 7_200_000
    train, foreign = training_rows(rule, 1, NAMES, assignment, fork)(rows)
    own = rows.exposures.arm == "reloop"
    after = rows.label_time_ms >= fork
    train = np.ones(len(rows), dtype=bool) if train is None else train
    assert train[~after].all()  # the control learner's data is everyone's
    if rule == "own":
        assert np.array_equal(train[after], own[after]) and foreign is None
        return
    served_by_another = ~own & (rows.exposures.event_time_ms >= fork)
    assert foreign is not None and np.array_equal(foreign, served_by_another) and foreign.any()
    if rule == "co_diverted":
        assert np.array_equal(train[after], (assignment.parts(rows.exposures.user_id) == 1)[after])
        assert 0 < train[after].sum() < after.sum()
    else:
        assert train.all()


def test_one_arm_trains_on_everything() -> None:
    train, foreign = training_rows("own", 0, ["only"], Assignment("feed", "1", [1.0]), 0)(mixed())
    assert train is None and foreign is None
