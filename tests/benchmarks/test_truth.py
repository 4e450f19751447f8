"""What `python -m benchmarks.truth` measures at length, in small: within what so few tests can say."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from benchmarks.truth import FIGURES, World, coverage_across_seeds, frozen_tests, small_world, spread_ratio

SALTS = 120


@pytest.mark.slow
def test_a_a_tests_find_nothing_too_often_and_intervals_hold_what_was_planted() -> None:
    shares = dict(zip(FIGURES, frozen_tests(seed=1, salts=SALTS, users=500).mean(axis=0).tolist(), strict=True))
    most = scipy.stats.binom.ppf(0.9999, SALTS, 0.05) / SALTS  # of tests that are wrong in 5% of the cases
    for name, share in shares.items():
        assert (1 - share if name.startswith("coverage") else share) <= most, name


@pytest.mark.slow
def test_the_truth_of_paired_worlds_spreads_five_times_less_than_the_test_s_estimate() -> None:
    worlds = [small_world(seed) for seed in range(1, 17)]
    assert spread_ratio(worlds) > 5
    assert small_world(3) == worlds[2]


def test_intervals_across_seeds_hold_the_mean_truth_as_often_as_they_do() -> None:
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 0.1, 4000)
    fair = [World(0.02 + float(luck), 0.02) for luck in noise]
    biased = [world._replace(estimate=world.estimate + 0.1) for world in fair]
    spread = [
        world._replace(truth=0.02 + 0.01 * float(luck))
        for world, luck in zip(fair, rng.normal(0, 1, 4000), strict=True)
    ]
    assert 0.92 < coverage_across_seeds(fair[:-1], each=10) < 0.98  # the last group, which is not whole, is left out
    assert coverage_across_seeds(biased, each=10) < 0.3
    assert spread_ratio(spread) == pytest.approx(10, rel=0.05)
