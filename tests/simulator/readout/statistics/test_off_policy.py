"""Off-policy estimators: obp's answers, hand-made logs, and coverage of what only a simulator knows."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import scipy.stats

from simulator.readout.statistics.off_policy import (
    LoggedPolicy,
    PolicyValue,
    dr,
    estimators,
    ips,
    mean_weight,
    snips,
    switch_dr,
)
from simulator.scenario.sections import EpsilonGreedyPolicy, SoftmaxPolicy
from simulator.serving.slates import choose_slates, first_slot
from simulator.world import World
from simulator.world.config import WorldConfig

VECTORS = json.loads(Path(__file__).with_name("obp_vectors.json").read_text(encoding="utf-8"))
LOGS = 200


def rows_of_vectors() -> LoggedPolicy:
    return LoggedPolicy(**{name: np.array(column) for name, column in VECTORS["rows"].items()})


def test_estimates_are_those_of_obp_on_the_same_rows() -> None:
    found = estimators(rows_of_vectors(), switch=VECTORS["switch"])
    assert {name: value.estimate for name, value in found.items()} == pytest.approx(
        VECTORS["said"]["as logged"], abs=1e-9
    )
    clipped = estimators(rows_of_vectors(), clip=VECTORS["clip"])
    for name, said in VECTORS["said"]["clipped"].items():
        assert clipped[name].estimate == pytest.approx(said, abs=1e-9)


def test_a_log_by_hand() -> None:
    log = LoggedPolicy(
        reward=np.array([1.0, 0.0, 1.0, 0.0]),
        propensity=np.array([0.5, 0.25, 0.2, 1.0]),
        target=np.array([0.5, 0.5, 0.8, 0.0]),
        q_logged=np.array([0.5, 0.5, 0.5, 0.5]),
        q_target=np.array([0.6, 0.2, 0.6, 0.2]),
    )
    assert log.weight == pytest.approx([1, 2, 4, 0])
    assert ips(log).estimate == pytest.approx((1 + 4) / 4)
    assert snips(log).estimate == pytest.approx((1 + 4) / 7)
    assert dr(log).estimate == pytest.approx((0.6 + 0.5 + 0.2 - 1 + 0.6 + 2 + 0.2) / 4)
    assert switch_dr(log, 2.0).estimate == pytest.approx((0.6 + 0.5 + 0.2 - 1 + 0.6 + 0.2) / 4)
    assert ips(log).ess == pytest.approx(7**2 / (1 + 4 + 16)) and ips(log).cut == 0
    assert ips(log, clip=2.0).estimate == pytest.approx((1 + 2) / 4) and ips(log, clip=2.0).cut == 0.25
    assert switch_dr(log, 2.0).cut == 0.25 and switch_dr(log, 2.0).ess == pytest.approx(3**2 / (1 + 4))


def test_an_interval_of_rows_is_the_t_interval_of_their_mean() -> None:
    log = rows_of_vectors()
    parts = log.weight * log.reward
    lo, hi = scipy.stats.t.interval(0.95, len(parts) - 1, parts.mean(), scipy.stats.sem(parts))
    assert ips(log)[:3] == pytest.approx((parts.mean(), lo, hi))


def test_rows_given_twice_change_no_interval_where_they_are_one_user_s() -> None:
    log = rows_of_vectors()
    rows = np.repeat(np.arange(len(log.reward)), 2)
    twice = LoggedPolicy(**{name: np.array(column)[rows] for name, column in VECTORS["rows"].items()}, cluster=rows)
    for name, once in estimators(log, switch=2.0).items():
        again = estimators(twice, switch=2.0)[name]
        assert again[:3] == pytest.approx(once[:3]), name


def test_what_is_not_defined_is_nan_and_no_error() -> None:
    one = np.ones(3)
    never = LoggedPolicy(reward=one, propensity=one, target=np.zeros(3))
    assert ips(never).estimate == 0 and math.isnan(ips(never).lo) and ips(never).ess == 0
    assert math.isnan(snips(never).estimate) and not mean_weight(never).fits
    alone = LoggedPolicy(reward=one[:1], propensity=one[:1], target=one[:1])
    assert ips(alone).estimate == 1 and math.isnan(ips(alone).hi) and mean_weight(alone).fits
    nothing = LoggedPolicy(*(np.zeros(0) for _ in range(3)))
    assert math.isnan(ips(nothing).estimate) and math.isnan(snips(nothing).cut)


class Judged(NamedTuple):
    """One population of requests that two policies meet: the log of the first, the true value of the second."""

    log: LoggedPolicy
    user: np.ndarray
    truth: float


def judged(logging: Any, target: Any) -> Judged:
    """Slates of one item in the simulator's own world, some fifty thousand requests on one day."""
    world = WorldConfig.model_validate(
        {
            "ctr": 0.3,
            "users": {"n": 40_000, "requests_per_day": 2},
            "items": {"live": 120, "topics": 5},
            "candidates": {"k": 8},
        }
    )
    tick = World(world, seed=5, tick_ms=86_400_000, slate=1).tick(0)
    n, k = tick.candidates.shape
    truth = np.concatenate([tick.expected_clicks(np.full((n, 1), i)) for i in range(k)], axis=1)
    rng = np.random.default_rng(0)
    chosen = choose_slates(
        rng.uniform(0.1, 0.4, (n, k)), (n, k), 1, logging, request_id=tick.request_id, random_share=0.0, seed=5
    )
    model = 0.8 * truth + rng.uniform(0.0, 0.05, (n, k))
    policy = first_slot(model, target, 0.0)
    at = np.arange(n), chosen.columns[:, 0]
    log = LoggedPolicy(
        reward=tick.respond(chosen.columns).click[:, 0].astype(float),
        propensity=chosen.propensity[:, 0],
        target=policy[at],
        q_logged=model[at],
        q_target=(policy * model).sum(axis=1),
        cluster=tick.user,
    )
    return Judged(log, tick.user, float((policy * truth).sum(axis=1).mean()))


def split(case: Judged) -> list[LoggedPolicy]:
    """Logs of some 260 requests each, of different users: enough clicks with weight for a t interval, see docs/off-policy.md."""
    order = np.argsort(case.user % LOGS, kind="stable")
    cuts = np.searchsorted((case.user % LOGS)[order], np.arange(1, LOGS))
    return [LoggedPolicy(*(column[rows] for column in case.log)) for rows in np.split(order, cuts)]  # type: ignore[index]


EVERY: dict[str, Callable[[LoggedPolicy], PolicyValue]] = {
    "ips": ips,
    "snips": snips,
    "dr": dr,
    "switch_dr": lambda log: switch_dr(log, 100.0),
}


@pytest.mark.parametrize(
    "logging, target",
    [
        (SoftmaxPolicy(name="softmax", temperature=1.0), SoftmaxPolicy(name="softmax", temperature=0.7)),
        (EpsilonGreedyPolicy(name="epsilon_greedy", epsilon=0.8), SoftmaxPolicy(name="softmax", temperature=1.0)),
        (SoftmaxPolicy(name="softmax", temperature=1.5), EpsilonGreedyPolicy(name="epsilon_greedy", epsilon=0.5)),
    ],
)
def test_intervals_cover_the_true_value_of_another_policy_as_often_as_they_say(logging: Any, target: Any) -> None:
    case = judged(logging, target)
    logs = split(case)
    few, many = scipy.stats.binom.ppf((0.0005, 0.9995), LOGS, 0.95)
    for name, estimator in EVERY.items():
        covered = sum(value.lo <= case.truth <= value.hi for value in map(estimator, logs))
        assert few <= covered <= many, (name, covered)
    naive = case.log.reward.mean()
    assert abs(naive - case.truth) > 3 * (dr(case.log).hi - dr(case.log).lo)  # the two policies do differ
    checks = [mean_weight(log) for log in logs]
    assert few <= sum(check.lo <= 1 <= check.hi for check in checks) <= many
    assert mean_weight(case.log).fits


def test_propensities_that_are_not_the_log_s_are_noticed() -> None:
    case = judged(SoftmaxPolicy(name="softmax", temperature=1.0), SoftmaxPolicy(name="softmax", temperature=0.7))
    wrong = case.log._replace(propensity=np.minimum(case.log.propensity * 1.3, 1.0))
    check = mean_weight(wrong)
    assert not check.fits and check.hi < 1 and mean_weight(case.log).fits
