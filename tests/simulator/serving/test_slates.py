"""Slates: the policies do what they say, and the logged propensities are the probabilities."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

from simulator.scenario.sections import EpsilonGreedyPolicy, GreedyPolicy, SoftmaxPolicy
from simulator.serving.slates import choose_slates, first_slot, is_random_request

POLICIES = [GreedyPolicy(), EpsilonGreedyPolicy(name="epsilon_greedy", epsilon=0.3), SoftmaxPolicy(name="softmax")]
SCORES = np.array([0.1, 0.4, 0.2, 0.05])


def slates(policy: Any, n: int, random_share: float, slate: int = 2) -> Any:
    scores = np.tile(SCORES, (n, 1))
    ids = np.arange(n)
    return choose_slates(scores, scores.shape, slate, policy, request_id=ids, random_share=random_share, seed=1)


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
@pytest.mark.parametrize("random_share", [0.0, 0.2])
def test_each_slate_is_as_frequent_as_the_product_of_its_propensities(policy: Any, random_share: float) -> None:
    n = 40_000
    chosen = slates(policy, n, random_share)
    stated: dict[tuple[int, ...], float] = {}
    for columns, propensity in zip(chosen.columns.tolist(), chosen.propensity, strict=True):
        stated[tuple(columns)] = math.prod(propensity)
    counts = dict.fromkeys(itertools.permutations(range(4), 2), 0)
    for columns in chosen.columns.tolist():
        counts[tuple(columns)] += 1
    for pair, count in counts.items():
        p = stated.get(pair, 0.0)
        assert abs(count / n - p) < 5 * math.sqrt(max(p * (1 - p), 1e-4) / n), (pair, count / n, p)
    assert sum(stated.values()) == pytest.approx(1.0, abs=0.001)


def test_greedy_shows_the_best_first() -> None:
    chosen = slates(GreedyPolicy(), 5, 0.0, slate=4)
    assert (chosen.columns == [1, 2, 0, 3]).all() and (chosen.propensity == 1).all()


def test_without_scores_every_order_is_equally_likely() -> None:
    ids = np.arange(20_000)
    chosen = choose_slates(None, (len(ids), 4), 2, GreedyPolicy(), request_id=ids, random_share=0.01, seed=3)
    assert np.allclose(chosen.propensity, [1 / 4, 1 / 3])
    shares = np.bincount(chosen.columns[:, 0], minlength=4) / len(ids)
    assert np.allclose(shares, 0.25, atol=0.015)


def test_the_random_requests_are_the_stated_share_and_the_same_for_every_policy() -> None:
    ids = np.arange(50_000)
    assert is_random_request(ids, 0.01, 1).mean() == pytest.approx(0.01, abs=0.002)
    random = is_random_request(np.arange(4000), 0.2, 1)
    one, other = (slates(policy, 4000, 0.2).columns[random] for policy in (POLICIES[0], POLICIES[2]))
    assert np.array_equal(one, other)


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
@pytest.mark.parametrize("random_share", [0.0, 0.2])
def test_the_first_slot_has_the_propensities_that_slates_are_logged_with(policy: Any, random_share: float) -> None:
    scores = np.random.default_rng(3).uniform(0.01, 0.5, (500, 6))
    chosen = choose_slates(
        scores, scores.shape, 1, policy, request_id=np.arange(500), random_share=random_share, seed=1
    )
    every = first_slot(scores, policy, random_share)
    assert np.allclose(np.take_along_axis(every, chosen.columns, axis=1), chosen.propensity, atol=1e-12)
    assert np.allclose(every.sum(axis=1), 1.0)


@pytest.mark.parametrize("k, slate", [(1, 1), (4, 4), (30, 10), (200, 3)])
def test_the_best_are_those_of_a_stable_sort(k: int, slate: int) -> None:
    scores = np.random.default_rng(k).integers(0, 1 + k // 2, (300, k)) / 7  # with ties
    chosen = choose_slates(
        scores, scores.shape, slate, GreedyPolicy(), request_id=np.arange(300), random_share=0.0, seed=1
    )
    assert np.array_equal(chosen.columns, np.argsort(-scores, axis=1, kind="stable")[:, :slate])
