"""Each check says what is wrong with its figure, and what to do; a sound test is told that it is."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from simulator.readout.checking import checks_of
from simulator.readout.checks import Check
from simulator.readout.results import Results
from simulator.readout.statistics.estimate import Estimate
from simulator.readout.statistics.sequential import looks_of
from simulator.run_folder.manifest import Counts
from tests.simulator.readout.own import experiment, read
from tests.simulator.readout.test_undefined import folder_of


def check(results: Results, name: str) -> Check:
    (found,) = [one for one in checks_of(results) if one.name == name]
    assert bool(found.do) is (found.verdict != "good") and found.says.endswith(".")
    return found


@pytest.fixture(scope="module")
def sound() -> Results:
    return read(experiment(users=4000, days=8))


def test_of_a_sound_test_all_is_good_but_that_it_is_small(sound: Results) -> None:
    assert {one.name: one.verdict for one in sound.checks} == {
        "sample_ratio": "good",
        "pre_period": "good",
        "peeking": "good",
        "power": "warn",
    }


def test_users_who_went_missing_are_an_alarm_unless_the_arms_were_meant_so() -> None:
    frame = experiment(users=4000)
    frame = frame[(frame["arm"] == "control") | (frame["user"] % 5 > 0)]
    found = check(read(frame), "sample_ratio")
    assert found.verdict == "bad" and "p < 0.001" in found.says and "--shares" in found.do
    meant = check(read(frame, shares={"control": 1, "new": 0.8}), "sample_ratio")
    assert meant.verdict == "good"
    assert "--shares" not in check(read(frame, shares={"control": 1, "new": 1}), "sample_ratio").do


def test_one_arm_and_a_hundred_are_weighed_by_their_shares() -> None:
    frame = experiment(users=5000)
    rng = np.random.default_rng(2)
    frame["arm"] = np.where(rng.random(5000) < 0.01, "new", "control")[frame["user"]]
    assert check(read(frame, shares={"control": 99, "new": 1}), "sample_ratio").verdict == "good"
    alone = read(frame[frame["arm"] == "control"])
    assert [one.name for one in alone.checks] == [] and alone.uplift == {} and math.isnan(alone.srm_p)


def estimate(relative: float, half: float) -> Estimate:
    return Estimate(relative, relative - half, relative + half, 0.01)


@pytest.mark.parametrize(
    "so_far, verdict, says",
    [
        ([(0.01, 0.02)] * 3, "good", "No daily look passed the bounds for it, and no fixed interval left 0 early."),
        ([(0.03, 0.02), (0.01, 0.02), (0.01, 0.02)], "warn", "On day 3 the 95% interval of new left 0 (+3.00%)"),
        ([(0.03, 0.02), (0.01, 0.02), (0.1, 0.01)], "good", "The bounds for daily looks were passed: new on day 5."),
        ([(0.1, 0.01)] * 3, "good", "The bounds for daily looks were passed: new on day 3."),
        ([(0.01, 0.02), (0.01, 0.02), (0.03, 0.02)], "good", "The bounds for daily looks were passed: new on day 5."),
    ],
)
def test_an_interval_that_left_zero_on_the_way_tempts_who_looks(
    sound: Results, so_far: list[tuple[float, float]], verdict: str, says: str
) -> None:
    looks = looks_of([2, 3, 4], [estimate(*one) for one in so_far], 3)
    found = check(replace(sound, sequential={"new": looks}), "peeking")
    assert found.verdict == verdict and found.says.startswith(says)


def test_a_test_that_is_too_small_says_how_many_users_it_would_take(sound: Results) -> None:
    found = check(sound, "power")
    error = sound.uplift["new"]["cuped"].log_error
    assert sound.mde["new"] == pytest.approx(math.expm1(2.8016 * error), rel=1e-3)
    users = sum(row.users for row in sound.phases if row.phase == "ab")
    needed = users * (2.8016 * error / math.log1p(0.01)) ** 2
    said = int(found.do.split("about ")[1].split(" users")[0].replace(",", ""))
    assert said == pytest.approx(needed, rel=0.06) and f"instead of {users:,}" in found.do
    seen = replace(sound, uplift={"new": {"cuped": estimate(0.5, 0.1)}})
    assert check(seen, "power").verdict == "good"
    assert check(replace(sound, mde={"new": 0.005}), "power").verdict == "good"


def test_predictions_that_are_off_say_which_way(tmp_path: Path, sound: Results) -> None:
    quality = {"control": {"calibration": 1.02}, "new": {"calibration": 1.3}, "c": {"calibration": 0.8}}
    found = check(replace(sound, quality=quality), "calibration")
    assert found.verdict == "warn"
    assert "new too much (pCTR/CTR 1.30), c too little (pCTR/CTR 0.80)" in found.says
    found = check(replace(sound, quality={"control": {"calibration": 1.02}}), "calibration")
    assert found.verdict == "good" and "control (pCTR/CTR 1.02)" in found.says


@pytest.mark.parametrize(
    "counts, verdict, do",
    [
        ({"clicks": 1000, "late": 5}, "good", ""),
        ({"clicks": 1000, "late": 50}, "warn", "lengthen join.attribution_hours"),
        ({"clicks": 1000, "unknown_clicks": 3}, "warn", "look at the clocks and the partitions"),
        ({"clicks": 1000, "dead": 1}, "bad", "Read the topic dead-letters"),
        ({}, "good", ""),
    ],
)
def test_a_stream_that_lost_events_says_which(tmp_path: Path, counts: dict[str, int], verdict: str, do: str) -> None:
    from simulator.readout.view import open_run

    results = open_run(folder_of(tmp_path / "run", (([5], [1]), ([7], [2])), "simulation")).results
    assert "stream" not in {one.name for one in results.checks}  # nothing is counted yet
    manifest = results.run.manifest
    assert manifest is not None
    manifest.counts = Counts({}, {"control": counts, "reloop": {"clicks": 0}})
    found = check(results, "stream")
    assert found.verdict == verdict and do in found.do
