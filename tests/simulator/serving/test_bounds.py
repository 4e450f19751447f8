"""How much there was to win: the oracle against every other slate, and the sums of a run against the world itself."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss, roc_auc_score

from reloop_stream.clock import HOUR_MS
from reloop_stream.config import apply_overrides
from simulator.scenario import load_scenario, parse_scenario
from simulator.world import World
from simulator.world.choice import click_probability
from simulator.world.config import ChoiceConfig, NoiseConfig
from simulator.world.delay import share_within
from tests.conftest import TINY

SETTINGS = ("truth={launch: true, bounds: true}", "arms.1.learner={loss: {name: reloop}, updating: {mode: none}}")

shares = st.floats(0, 1)


@given(
    st.lists(shares, min_size=2, max_size=5),
    st.integers(1, 3),
    st.one_of(
        st.builds(lambda eta: {"eta": eta}, st.floats(0, 3)),
        st.builds(lambda a, b: {"examination": "cascade", "go_on": a, "go_on_after_click": b}, shares, shares),
    ),
    st.floats(0, 0.5),
)
def test_no_slate_has_more_expected_clicks_than_the_most_attractive_first(
    attractive: list[float], slate: int, looking: dict[str, Any], accidental: float
) -> None:
    every = np.array(list(itertools.permutations(attractive, min(slate, len(attractive)))))
    choice, noise = ChoiceConfig.model_validate({"looking": looking}), NoiseConfig(accidental=accidental)
    clicks = click_probability(every, np.zeros(len(every), bool), choice, noise).sum(axis=1)
    best = np.sort(attractive)[::-1][:slate]
    oracle = click_probability(best[None, :], np.zeros(1, bool), choice, noise).sum()
    assert oracle >= clicks.max() - 1e-12


@pytest.fixture(scope="module")
def tables(whole: Callable[..., Path]) -> dict[str, pd.DataFrame]:
    folder = whole(*SETTINGS)
    return {name: pd.read_csv(folder / f"{name}.csv") for name in ("bounds", "truth", "daily")}


def ab(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    return tables["daily"][tables["daily"]["phase"] == "ab"].set_index(["day", "arm"])


@pytest.mark.slow
def test_the_bounds_are_what_the_world_says_of_its_best_and_of_random_slates(tables: dict[str, pd.DataFrame]) -> None:
    scenario = parse_scenario(apply_overrides(yaml.safe_load(TINY), SETTINGS))
    assert scenario.world is not None
    world = World(scenario.world, scenario.seed.world, scenario.tick_ms, scenario.serving.slate)
    on_time = share_within(scenario.world.delay, HOUR_MS)
    assert 0.8 < on_time < 0.95  # so that late clicks show
    said = tables["bounds"].set_index("policy")
    best: list[tuple[np.ndarray, np.ndarray]] = []
    for number in range(24, 36):  # the third day, in ticks of two hours
        tick = world.tick(number)
        found = tick.attractiveness()
        response = tick.respond(np.argsort(-found, axis=1, kind="stable")[:, : scenario.serving.slate])
        in_time = response.click & (response.click_time_ms <= tick.time_ms[:, None] + HOUR_MS)
        best.append((response.probability.ravel(), in_time.ravel()))
    probability, label = (np.concatenate(column) for column in zip(*best, strict=True))
    assert said.loc["oracle", "exposures"] == len(label)
    assert said.loc["oracle", "expected_clicks"] == pytest.approx(probability.sum(), rel=1e-12)
    assert said.loc["oracle", "auc"] == pytest.approx(roc_auc_score(label, probability), abs=1e-3)
    assert said.loc["oracle", "logloss"] == pytest.approx(log_loss(label, on_time * probability), rel=1e-9)
    assert label.mean() == pytest.approx(on_time * probability.mean(), abs=4 * np.sqrt(0.2 / len(label)))


@pytest.mark.slow
def test_random_is_below_every_arm_and_the_oracle_above_on_the_same_requests(tables: dict[str, pd.DataFrame]) -> None:
    bounds, truth = tables["bounds"].set_index(["day", "policy"]), tables["truth"]
    assert set(truth["kind"]) == {"experiment", "launch"}
    for row in truth.to_dict("records"):
        oracle, random = bounds.loc[(row["day"], "oracle")], bounds.loc[(row["day"], "random")]
        assert row["exposures"] == oracle["exposures"] == random["exposures"]
        assert random["expected_clicks"] < row["expected_clicks"] < oracle["expected_clicks"]


@pytest.mark.slow
def test_an_arm_s_row_is_of_its_own_users_and_the_ceiling_of_its_stamps(tables: dict[str, pd.DataFrame]) -> None:
    bounds, daily = tables["bounds"].set_index(["day", "policy"]), ab(tables)
    for day, arm in daily.index:
        mine, stamps = bounds.loc[(day, arm)], daily.loc[(day, arm)]
        assert mine["exposures"] == stamps["exposures"]
        assert mine["auc"] > stamps["auc"] + 0.05 and mine["logloss"] < stamps["logloss"]  # some 20 standard errors


@pytest.mark.slow
def test_both_kinds_of_truth_are_under_the_same_luck(tables: dict[str, pd.DataFrame]) -> None:
    """An arm that never learns serves the same whoever trains: equal to the last bit, where luck is."""
    truth = tables["truth"]
    never = truth[truth["arm"] == "reloop"].set_index("kind")["expected_clicks"]
    learns = truth[truth["arm"] == "control"].set_index("kind")["expected_clicks"]
    assert never["experiment"] == never["launch"] and learns["experiment"] != learns["launch"]


@pytest.mark.slow
def test_without_the_other_truths_the_bounds_are_the_same(whole: Callable[..., Path], tables: Any) -> None:
    alone = whole("truth={experiment: false, bounds: true}", SETTINGS[1])
    pd.testing.assert_frame_equal(pd.read_csv(alone / "bounds.csv"), tables["bounds"])
    assert not (pd.read_csv(alone / "truth.csv")).size


def test_a_word_says_which_truths_and_more_can_be_set_beside_it(tmp_path: Path) -> None:
    def truth(word: str, *overrides: str) -> tuple[bool, bool, bool]:
        path = tmp_path / "scenario.yaml"
        path.write_text(f"{TINY}\ntruth: {word}\n")
        found = load_scenario(path, overrides).truth
        return found.experiment, found.launch, found.bounds

    assert truth("paired") == (True, True, False) and truth("none") == (False, False, False)
    assert truth("paired", "truth.bounds=true") == (True, True, True)
    assert truth("none", "truth.bounds=true", "truth=paired", "truth.launch=false") == (True, False, False)
    assert truth("none", "truth=paired") == truth("{launch: true}") == (True, True, False)
