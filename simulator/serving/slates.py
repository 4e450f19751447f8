"""From scores to slates: the policies, and the exact probability of each choice."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simulator.scenario.sections import EpsilonGreedyPolicy, GreedyPolicy, Policy, SoftmaxPolicy
from simulator.world.draws import gumbel, uniform

__all__ = ["Slates", "choose_slates", "first_slot", "is_random_request"]


class Slates(NamedTuple):
    """columns: int [requests, slate], which candidate is shown at which position. propensity: float64, the same shape:
    the probability of this item in this slot, given those above it."""

    columns: np.ndarray
    propensity: np.ndarray


def is_random_request(request_id: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Whether each request gets a random slate in every arm: bool [n]. The same for all arms and all runs of a world."""
    return uniform(seed, "random-request", request_id) < share


def choose_slates(
    scores: np.ndarray | None,
    candidates: tuple[int, int],
    slate: int,
    policy: Policy,
    *,
    request_id: np.ndarray,
    random_share: float,
    seed: int,
) -> Slates:
    """The slate of each request.

    scores: pCTR, float64 [requests, candidates], or None for random slates throughout.
    candidates: (requests, candidates).
    A share of the requests is random whatever the policy; the propensity is that of the mixture, in which the items
    above a slot tell how likely the request is one of the random ones.
    """
    n, k = candidates
    uniform_slot = 1.0 / (k - np.arange(slate))
    if scores is None:
        return Slates(_random(request_id, k, slate, seed), np.broadcast_to(uniform_slot, (n, slate)))
    columns = _by_policy(scores, slate, policy, request_id, seed)
    if random_share == 0:
        return Slates(columns, _probabilities(scores, columns, policy))
    random = is_random_request(request_id, random_share, seed)
    rows = np.flatnonzero(random)
    if len(rows):
        columns[rows] = _random(request_id[rows], k, slate, seed)
    # A greedy slate is certain but for the requests whose slate was drawn.
    asked = rows if isinstance(policy, GreedyPolicy) else np.arange(n)
    propensity = np.empty((n, slate))
    propensity[:] = _mixture(np.ones((1, slate)), uniform_slot, random_share)
    if len(asked):
        by_policy = _probabilities(scores[asked], columns[asked], policy)
        propensity[asked] = _mixture(by_policy, uniform_slot, random_share)
    return Slates(columns, propensity)


def first_slot(scores: np.ndarray, policy: Policy, random_share: float) -> np.ndarray:
    """The probability of each candidate in the first slot, float64 as the scores, pCTR [requests, candidates].

    >>> first_slot(np.array([[0.1, 0.3, 0.2]]), GreedyPolicy(), 0.3).round(2).tolist()
    [[0.1, 0.8, 0.1]]
    """
    k = scores.shape[1]
    if isinstance(policy, SoftmaxPolicy):
        weights = _softmax_weights(scores, policy)
        by_policy = weights / weights.sum(axis=1, keepdims=True)
    else:
        epsilon = policy.epsilon if isinstance(policy, EpsilonGreedyPolicy) else 0.0
        by_policy = np.full(scores.shape, epsilon / k)
        by_policy[np.arange(len(scores)), np.argmax(scores, axis=1)] += 1 - epsilon
    return np.asarray(random_share / k + (1 - random_share) * by_policy)


def _mixture(by_policy: np.ndarray, uniform_slot: np.ndarray, random_share: float) -> np.ndarray:
    """P(item | above) = sum over {random, policy} of P(which | above) · P(item | which, above)."""
    ones = np.ones((len(by_policy), 1))
    random_path = random_share * np.cumprod(np.concatenate(([1.0], uniform_slot)))[None, :]
    policy_path = (1 - random_share) * np.cumprod(np.concatenate((ones, by_policy), axis=1), axis=1)
    path = random_path + policy_path
    propensity: np.ndarray = path[:, 1:] / path[:, :-1]
    return propensity


def _random(request_id: np.ndarray, k: int, slate: int, seed: int) -> np.ndarray:
    return _best(-uniform(seed, "random-slate", request_id[:, None], np.arange(k)[None, :]), slate)


def _by_policy(scores: np.ndarray, slate: int, policy: Policy, request_id: np.ndarray, seed: int) -> np.ndarray:
    match policy:
        case GreedyPolicy():
            return _best(scores, slate)
        case SoftmaxPolicy():
            noise = gumbel(seed, "softmax-slate", request_id[:, None], np.arange(scores.shape[1])[None, :])
            # Adding Gumbel noise and sorting draws without replacement in proportion to exp(score).
            return _best(_logit(scores) / policy.temperature + noise, slate)
        case EpsilonGreedyPolicy():
            return _epsilon_greedy(scores, slate, policy.epsilon, request_id, seed)


def _best(scores: np.ndarray, slate: int) -> np.ndarray:
    from simulator.serving.slate_kernels import find_best

    columns = np.empty((len(scores), slate), dtype=np.int64)
    find_best(scores, columns)
    return columns


def _epsilon_greedy(scores: np.ndarray, slate: int, epsilon: float, request_id: np.ndarray, seed: int) -> np.ndarray:
    n, k = scores.shape
    slots = np.arange(slate)[None, :]
    explore = uniform(seed, "epsilon-coin", request_id[:, None], slots) < epsilon
    pick = uniform(seed, "epsilon-pick", request_id[:, None], slots)
    left = np.ones((n, k), dtype=bool)
    columns = np.empty((n, slate), dtype=np.int64)
    rows = np.arange(n)
    for slot in range(slate):
        best = np.argmax(np.where(left, scores, -np.inf), axis=1)
        nth = np.floor(pick[:, slot] * (k - slot)).astype(np.int64)
        any_left = np.argmax(np.cumsum(left, axis=1) > nth[:, None], axis=1)
        columns[:, slot] = np.where(explore[:, slot], any_left, best)
        left[rows, columns[:, slot]] = False
    return columns


def _probabilities(scores: np.ndarray, columns: np.ndarray, policy: Policy) -> np.ndarray:
    """The probability that the policy fills each slot as it is, given the slots above: float64 [n, slate]."""
    n, k = scores.shape
    slate = columns.shape[1]
    rows = np.arange(n)
    left = np.ones((n, k), dtype=bool)
    result = np.empty((n, slate))
    if isinstance(policy, SoftmaxPolicy):
        weights = _softmax_weights(scores, policy)
    for slot in range(slate):
        shown = columns[:, slot]
        if isinstance(policy, SoftmaxPolicy):
            # Rounding must not push the last slot's probability over 1.
            result[:, slot] = np.minimum(weights[rows, shown] / np.where(left, weights, 0.0).sum(axis=1), 1.0)
        else:
            best = np.argmax(np.where(left, scores, -np.inf), axis=1)
            epsilon = policy.epsilon if isinstance(policy, EpsilonGreedyPolicy) else 0.0
            result[:, slot] = (1 - epsilon) * (shown == best) + epsilon / (k - slot)
        left[rows, shown] = False
    return result


def _softmax_weights(scores: np.ndarray, policy: SoftmaxPolicy) -> np.ndarray:
    logits = _logit(scores) / policy.temperature
    return np.asarray(np.exp(logits - logits.max(axis=1, keepdims=True)))


def _logit(pctr: np.ndarray) -> np.ndarray:
    bounded = np.clip(pctr, 1e-12, 1 - 1e-12)
    result: np.ndarray = np.log(bounded) - np.log1p(-bounded)
    return result
