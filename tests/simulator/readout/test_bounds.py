"""The way from random slates to the oracle, and bins of pCTR, by hand."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from simulator.readout.bounds import bounds_of
from simulator.readout.compute import compute
from simulator.readout.reliability import ReliabilityBin, reliability_of, wilson
from simulator.run_folder.columns import BOUND_COLUMNS, RELIABILITY_COLUMNS, TRUTH_COLUMNS
from simulator.run_folder.reader import Run, read_run

TRUTH = [
    ("experiment", 5, "a", 1000, 100.0), ("experiment", 6, "a", 3000, 380.0),
    ("experiment", 5, "b", 1000, 130.0), ("experiment", 6, "b", 3000, 400.0),
    ("launch", 5, "a", 1000, 999.0),
]  # fmt: skip
BOUNDS = [
    (5, "oracle", 1000, 200.0, 0.8, 0.4), (6, "oracle", 3000, 600.0, 0.9, 0.3),
    (5, "random", 1000, 90.0, 0.7, 0.2), (6, "random", 3000, 310.0, None, None),
    (5, "a", 400, 44.0, 0.75, 0.25), (6, "a", 600, 66.0, 0.75, 0.25),
    (5, "b", 500, 60.0, 0.76, 0.26), (6, "b", 500, 60.0, 0.76, 0.26),
]  # fmt: skip


def table(columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> pa.Table:
    return pa.table({name: [row[i] for row in rows] for i, name in enumerate(columns)})


def run(**tables: Any) -> Run:
    config = {"arms": [{"name": "a"}, {"name": "b"}]}
    parts: dict[str, Any] = {"truth": table(TRUTH_COLUMNS, TRUTH), **tables}
    return Run(Path("nowhere"), config, None, pa.table({}), None, **parts)


def test_shares_are_of_the_way_from_random_to_the_oracle_on_the_same_requests() -> None:
    found = bounds_of(run(bounds=table(BOUND_COLUMNS, BOUNDS)))
    assert found is not None
    assert (found.oracle_ctr, found.random_ctr) == (0.2, 0.1)
    assert found.ctr == {"a": 0.12, "b": 0.1325}
    assert found.share == pytest.approx({"a": 0.2, "b": 0.325})
    assert found.regained == pytest.approx({"b": 0.0125 / 0.08})
    assert found.quality["oracle"] == pytest.approx((0.875, 0.325)) and found.quality["random"] == (0.7, 0.2)
    assert found.days["a"].keys() == {5, 6} and found.days["a"][5] == (0.1, 0.75, 0.25)  # as of everyone
    assert found.days["random"][6][0] == pytest.approx(310 / 3000) and math.isnan(found.days["random"][6][1])


def test_without_the_truth_of_everyone_an_arm_s_is_that_of_its_own_users() -> None:
    nothing = table(TRUTH_COLUMNS, [])
    found = bounds_of(run(bounds=table(BOUND_COLUMNS, BOUNDS), truth=nothing))
    assert found is not None and found.ctr == pytest.approx({"a": 0.11, "b": 0.12})
    assert found.days["b"][5] == pytest.approx((0.12, 0.76, 0.26))


def test_another_baseline_has_its_own_regret() -> None:
    found = bounds_of(run(bounds=table(BOUND_COLUMNS, BOUNDS), baseline="b"))
    assert found is not None and found.regained == pytest.approx({"a": -0.0125 / 0.0675})


def test_a_world_in_which_nothing_can_be_won_has_no_shares() -> None:
    flat = [(day, policy, 100, 10.0, None, 0.3) for day in (5, 6) for policy in ("oracle", "random", "a", "b")]
    found = bounds_of(run(bounds=table(BOUND_COLUMNS, flat), truth=table(TRUTH_COLUMNS, [])))
    assert found is not None and found.ctr == {"a": 0.1, "b": 0.1}
    assert all(math.isnan(value) for of in (found.share, found.regained) for value in of.values())
    assert bounds_of(run()) is None


def test_bins_hold_means_and_an_interval() -> None:
    rows = [
        ("a", "ab", 3, 200, 15.0, 10),
        ("a", "ab", 7, 1, 0.4, 1),
        ("a", "aa", 3, 50, 5.0, 50),
        ("b", "ab", 3, 2.5, 0.5, 0.5),
    ]
    found = reliability_of(run(reliability=table(RELIABILITY_COLUMNS, rows)), "ab")
    assert found["a"] == [
        ReliabilityBin(0.075, 0.05, *wilson(10, 200), 200),
        ReliabilityBin(0.4, 1.0, *wilson(1, 1), 1),
    ]
    assert found["b"][0].predicted == 0.2 and found["b"][0].exposures == 2  # of events with weights
    assert reliability_of(run(), "ab") == {}


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_s_interval_is_scipy_s(counts: tuple[int, int]) -> None:
    theirs = scipy.stats.binomtest(*counts).proportion_ci(0.95, method="wilson")
    assert wilson(*counts) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


@pytest.mark.slow
def test_a_run_with_bounds_says_how_far_each_arm_came(whole: Callable[..., Path]) -> None:
    folder = whole(
        "truth={launch: true, bounds: true}", "arms.1.learner={loss: {name: reloop}, updating: {mode: none}}"
    )
    results = compute(read_run(folder))
    bounds = results.bounds
    assert bounds is not None and 0 < bounds.share["control"] < 1
    uplift = bounds.ctr["reloop"] / bounds.ctr["control"] - 1
    assert uplift == pytest.approx(results.truth["reloop"]["experiment"])
    said = json.loads(results.to_json())
    assert said["bounds"]["share"] == bounds.share and set(said["catalogue"]) == {"control", "reloop"}
    assert len(said["reliability"]["control"]) == len(results.reliability["control"]) > 1
    words = results.render()
    assert f"random slates {bounds.random_ctr:.2%}, an oracle {bounds.oracle_ctr:.2%}" in words
    assert f"{bounds.regained['reloop']:+.2%} of what control left to win" in words
    assert f"{results.catalogue['reloop'].coverage:.1%}" in words
