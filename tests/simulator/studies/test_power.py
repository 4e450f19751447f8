"""Power before a run: the pilot's figures are those that a run of the world then has, and the arithmetic closes."""

from __future__ import annotations

import math
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import ScenarioError
from simulator.lab.run import start_run
from simulator.readout.statistics.power import power_at
from simulator.readout.statistics.uplift import ESTIMATORS
from simulator.readout.statistics.users import UserSums, group_users
from simulator.run_folder.reader import read_run
from simulator.scenario import Scenario, parse_scenario
from simulator.studies.pilot import pilot_of, run_pilot
from simulator.studies.power import PowerPlan, plan_power
from simulator.studies.spreads import spreads
from tests.conftest import TINY
from tests.simulator.runs import lab


def scenario_of(users: int, **changes: Any) -> Scenario:
    raw = yaml.safe_load(TINY)
    raw["world"]["users"]["n"] = users
    raw["arms"] = [{"name": "control"}, {"name": "same"}]
    return parse_scenario(raw | changes)


def drawn_users(n: int, coming: int, shown: int, p: float) -> pa.Table:
    """`coming` of n users, each shown as many items on an A/A day and on two A/B days, who click as coins do."""
    draws = np.random.default_rng(1)
    days = [(day, phase) for day, phase in enumerate(("aa", "ab", "ab"))]
    rows: dict[str, list[Any]] = {name: [] for name in ("user_id", "arm", "day", "phase", "exposures", "clicks")}
    for day, phase in days:
        rows["user_id"] += range(coming)
        rows["arm"] += ["control"] * coming
        rows["day"] += [day] * coming
        rows["phase"] += [phase] * coming
        rows["exposures"] += [shown] * coming
        rows["clicks"] += draws.binomial(shown, p, coming).tolist()
    return pa.table(rows)


def test_spreads_are_those_of_coins_where_users_are_coins() -> None:
    n, coming, shown, p = 20_000, 10_000, 5, 0.2
    found, seen = spreads(drawn_users(n, coming, shown, p), "control", n, [1, 2])
    # The variance of the log of a share of n · E coins is (1 - p) / (p · n · E); half of the users do not come.
    coin = (1 - p) / (p * shown) * n / coming
    assert seen == [0.5, 0.5]
    assert found["raw"] == pytest.approx([coin, coin / 2], rel=0.05)
    assert found["cuped"] == pytest.approx(found["raw"], rel=0.01)  # coins do not remember
    assert found["ab_minus_aa"] == pytest.approx([2 * coin, 1.5 * coin], rel=0.05)


def test_users_of_one_mind_are_seen_through_by_cuped_alone() -> None:
    """Whoever clicks half of what is shown, or nothing, does so every day: A/A tells nearly all of A/B."""
    table = drawn_users(4_000, 4_000, 20, 0.0).to_pandas()
    noise = np.random.default_rng(2).integers(0, 2, len(table))
    table["clicks"] = np.where(table["user_id"] % 2 == 0, 10, 1) + noise
    found, _ = spreads(pa.Table.from_pandas(table), "control", 4_000, [1, 2])
    assert found["cuped"][0] < 0.05 * found["raw"][0] and found["ab_minus_aa"][0] < 0.05 * found["raw"][0]


@pytest.mark.slow
def test_a_pilot_predicts_the_standard_errors_of_a_run_within_a_tenth(tmp_path: Path) -> None:
    plan = plan_power(scenario_of(3_000), users=4_000, pilot_users=3_000, quiet=True)
    assert plan.pilot_users == 3_000 and len(plan.seen) == 2
    variances: dict[tuple[str, int], list[float]] = defaultdict(list)  # of worlds, which differ by as much again
    for seed in (2, 3, 4):
        real = scenario_of(
            4_000, seed={"world": seed, "model": seed}, phases={"warmup_days": 1, "aa_days": 1, "ab_days": 2}
        )
        start_run(real, tmp_path / str(seed), command="test", workers=1, quiet=True)
        users = read_run(tmp_path / str(seed)).users
        assert users is not None
        users = users.set_column(users.column_names.index("arm"), "arm", pa.array(["everyone"] * len(users)))
        rows = group_users(users, ["everyone"]).arms["everyone"]
        draws = np.random.default_rng(3)
        for day, sums in enumerate(rows.running([2, 3]), start=1):
            halves = [draws.random(len(sums.clicks)) < 0.5 for _ in range(200)]
            for name, estimator in ESTIMATORS.items():
                uplifts = [
                    estimator(UserSums(*(c[half] for c in sums)), UserSums(*(c[~half] for c in sums))).relative
                    for half in halves
                ]
                variances[name, day].append(float(np.var(np.log1p(uplifts), ddof=1)))
    for (name, day), found in variances.items():
        assert plan.log_error(day, 4_000, name) == pytest.approx(np.sqrt(np.mean(found)), rel=0.1), (name, day)


def plan_of(spread: float, **changes: Any) -> PowerPlan:
    """A plan whose spread halves with each day, of CUPED alone."""
    by_day = [spread / 2**day for day in range(4)]
    settings: dict[str, Any] = {
        "name": "made", "users": 10_000, "shares": (0.5, 0.5), "days": 2, "effect": 0.01, "power": 0.8,
        "pilot_users": 1_000, "pilot_days": {"warmup": 0, "aa": 1, "ab": 4},
        "spreads": {"raw": by_day, "ab_minus_aa": by_day, "cuped": by_day}, "seen": [1.0] * 4,
    }  # fmt: skip
    return PowerPlan(**(settings | changes))


@given(st.floats(0.1, 100), st.floats(0.001, 0.2), st.sampled_from([0.5, 0.8, 0.95]), st.floats(0.05, 0.5))
def test_the_users_that_an_effect_needs_find_just_that_effect(
    spread: float, effect: float, power: float, share: float
) -> None:
    plan = plan_of(spread, power=power, shares=(1 - share, share))
    needed = plan.users_needed(effect, 1)
    assert math.isclose(plan.mde(1, needed), effect, rel_tol=1e-9)
    error = math.sqrt(spread / (needed * share) + spread / (needed * (1 - share)))
    assert math.isclose(power_at(effect, error), power, abs_tol=1e-3)  # which counts the other direction too


def test_a_plan_by_hand() -> None:
    # spread 2: at 10,000 users in halves the log error is sqrt(2 / 10,000 · 4) = .0283 after a day, .0141 after three.
    plan = plan_of(2.0)
    assert plan.log_error(1, 10_000) == pytest.approx(0.02828, rel=1e-3)
    assert plan.mde(1, 10_000) == pytest.approx(math.expm1((1.95996 + 0.84162) * 0.02828), rel=1e-3)
    assert [plan.days_needed(effect) for effect in (0.09, 0.08, 0.041, 0.04, 0.01)] == [1, 2, 3, 4, None]
    assert "needs about" in plan.sentence and "more than 4 days with its 10,000" in plan.sentence
    assert "finds an uplift of +9.00% with 80% power after 1 day" in plan_of(2.0, effect=0.09).sentence
    assert "corrected for all of them" in " ".join(plan_of(2.0, treatments=3).notes)


def test_its_tables_are_its_figures() -> None:
    plan = plan_of(2.0)
    assert plan.users_by_day[0.02].loc[3] == plan.users_needed(0.02, 3)
    assert plan.smallest_by_day["cuped"].loc[2] == plan.mde(2, 10_000)
    assert "A/B − A/A" in plan._repr_html_() and plan.sentence in plan._repr_html_() and plan.sentence in str(plan)
    # Spread .5 on the third day: 4 · .5 · (1.960 + .842)² / log(1.01)² = 158,500 users for 1%.
    shown = [line.split() for line in str(plan_of(2.0, seen=[0.5] * 4)).splitlines()]
    assert ["3", "50%", "630,000", "160,000", "40,000", "6,600"] in shown


def test_what_a_pilot_cannot_say_is_said() -> None:
    nothing = [math.nan] * 4
    plan = plan_of(1.0, spreads={"raw": nothing, "ab_minus_aa": nothing, "cuped": nothing})
    assert plan.headline == "raw" and "cannot say" in plan.sentence
    assert "nan" not in plan.render() and plan.days_needed(0.01) is None


def test_without_a_a_the_headline_is_raw() -> None:
    table = drawn_users(500, 500, 5, 0.2)
    found, _ = spreads(table.filter(pa.compute.equal(table["phase"], "ab")), "control", 500, [1, 2])
    assert math.isnan(found["cuped"][0]) and plan_of(1.0, spreads=found | {"raw": [1.0] * 4}).headline == "raw"


@pytest.mark.slow
def test_a_world_of_one_user_is_answered(tiny: Path) -> None:
    done = lab("power", tiny, "--quiet", "--users", "1")
    assert done.code == 0 and "A pilot of tiny cannot say" in done.out and "nan" not in done.out


def test_a_pilot_is_the_same_world_with_its_control_alone() -> None:
    scenario = scenario_of(900, truth={"experiment": True, "launch": True}, seed={"world": 7, "model": 3})
    pilot = pilot_of(scenario, 400, 5)
    assert [arm.name for arm in pilot.arms] == ["control"] and pilot.shares == [1.0]
    assert pilot.phases.days == {"warmup": 1, "aa": 1, "ab": 5} and pilot.seed == scenario.seed
    assert pilot.world is not None and scenario.world is not None and pilot.world.users.n == 400
    assert pilot.world.items == scenario.world.items and not pilot.truth.launch


@pytest.mark.slow
def test_the_command_answers_in_one_sentence_and_ends_in_order(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    done = lab("power", tiny, "--quiet", "--effect", "0.05", "--users", "20000", "--pilot-users", "250")
    assert done.code == 0, done.err
    assert "its control alone, 250 users, 1 day of warm-up, 1 day of A/A, 2 days of A/B" in done.out
    assert "an uplift of +5.00% with 80% power" in done.out and "learners" in done.out
    with pytest.raises(KeyboardInterrupt):
        run_pilot(pilot_of(scenario_of(300), 300, 1), command="test", quiet=True, should_stop=lambda: True)
    assert not list(tmp_path.glob("reloop-pilot-*"))


@pytest.mark.parametrize(
    "words, said",
    [
        (["replay-movielens"], "there is no uplift to find"),
        (["quickstart", "--set", "phases.ab_days=0"], "phases.ab_days: got 0"),
        (["quickstart", "--effect", "0"], "must be a number above 0"),
        (["quickstart", "--power", "1"], "must be a number between 0.05 and 1"),
        (["quickstart", "--days", "-1"], "must be a whole number of at least 1"),
        (["quickstrat"], "did you mean 'quickstart'"),
    ],
)
def test_what_has_no_power_is_a_mistake(words: list[str], said: str) -> None:
    done = lab("power", *words)
    assert done.code == 2 and said in done.err and done.out == ""


def test_a_replay_has_no_pilot() -> None:
    replay = {"name": "old", "data": {"format": "libfm", "path": "x", "fields": 2}, "features": [{"name": "f1"}]}
    with pytest.raises(ScenarioError, match="no uplift to find"):
        pilot_of(parse_scenario({**replay, "arms": [{"name": "a"}]}), 10, 1)
