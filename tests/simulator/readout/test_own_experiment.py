"""An experiment that this laboratory never saw: right where it can be, and an answer where there is next to nothing."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator import open_run, open_table
from simulator.readout.view import RunView
from simulator.readout.words import sentence
from tests.simulator.readout.own import experiment, read


@pytest.mark.slow
def test_a_run_s_users_as_a_table_give_the_run_s_own_figures(whole: Any, tmp_path: Path) -> None:
    run = open_run(whole())
    run.users.to_csv(tmp_path / "own.csv", index=False)
    own = open_table(tmp_path / "own.csv")
    for name in ("uplift", "looks", "novelty", "phases"):
        pd.testing.assert_frame_equal(getattr(own, name), getattr(run, name), check_dtype=False)
    assert own.results.srm_p == pytest.approx(run.results.srm_p) and own.results.holm == pytest.approx(run.results.holm)
    aa, theirs = own.results.aa, run.results.aa
    assert aa is not None and theirs is not None and aa.p == pytest.approx(theirs.p) and aa.alarm == theirs.alarm
    assert own.manifest == {} and own.status == "finished"
    pd.testing.assert_frame_equal(
        own.daily[["day", "phase", "arm", "users", "exposures", "clicks", "ctr"]],
        run.daily[["day", "phase", "arm", "users", "exposures", "clicks", "ctr"]],
        check_dtype=False,
    )


def test_a_planted_uplift_is_found_day_by_day_and_the_days_add_up_to_the_whole() -> None:
    results = read(experiment(users=6000, days=8, uplift=0.2))
    assert results.uplift["new"]["cuped"].lo < 0.2 < results.uplift["new"]["cuped"].hi and results.holm["new"] < 0.001
    days = [day for day in results.days if day.row["arm"] == "new"]
    assert [day.so_far is None for day in days] == [True] * 4 + [False] * 4
    assert days[-1].so_far == pytest.approx(results.uplift["new"]["cuped"])
    widths = [day.so_far.hi - day.so_far.lo for day in days if day.so_far is not None]
    assert widths == sorted(widths, reverse=True)
    assert [look.estimate for look in results.sequential["new"]] == [day.so_far for day in days[4:]]
    assert results.sequential["new"][-1].crossed and results.sequential["new"][-1].information == 1
    assert all(day.so_far is None and day.uplift is None for day in results.days if day.row["arm"] == "control")
    said = results.sentence("new")
    assert said.startswith("new changes CTR by +") and said.endswith("which is more than luck.") and "CUPED" in said


def test_several_treatments_are_corrected_and_it_is_said() -> None:
    results = read(experiment(users=3000, arms=("control", "b", "c")))
    p = sorted(found["cuped"].p for found in results.uplift.values())
    assert sorted(results.holm.values()) == pytest.approx([min(1, 2 * p[0]), max(min(1, 2 * p[0]), p[1])])
    assert results.render().count("(Holm, 2 treatments)") == 2
    assert "Holm" not in read(experiment(users=600)).render()


def test_an_effect_that_only_one_of_many_arms_shows_is_not_sure_once_all_are_counted() -> None:
    results = read(experiment(users=600))
    found = results.uplift["new"]["cuped"]._replace(relative=0.05, lo=0.01, hi=0.09, p=0.02)
    for holm, said in ((0.02, "which is more than luck."), (0.2, "which is no longer sure once all arms are counted.")):
        object.__setattr__(results, "uplift", {"new": {"cuped": found}})
        object.__setattr__(results, "holm", {"new": holm})
        assert sentence(results, "new").endswith(said)


def test_without_days_there_are_phases_alone() -> None:
    frame = experiment(users=800).drop(columns="day")
    results = read(frame)
    assert results.sequential == {} and results.novelty == {} and all(day.so_far is None for day in results.days)
    assert results.uplift == read(experiment(users=800)).uplift
    assert "by day" not in results.render() and "CTR by phase and arm" in results.render()


RATES = st.sampled_from([0.0, 0.3, 1.0])


@st.composite
def tiny(draw: st.DrawFn) -> pd.DataFrame:
    """Up to 30 rows: up to three arms, some with nobody before or after, users of one row, nobody or everybody clicking."""
    users = draw(st.integers(1, 8))
    arm_of = draw(st.lists(st.sampled_from(["control", "b", "c"]), min_size=users, max_size=users))
    phase_of = sorted(
        draw(st.lists(st.sampled_from(["warmup", "aa", "ab"]), min_size=1, max_size=4)),
        key=["warmup", "aa", "ab"].index,
    )
    rate = draw(RATES)
    rows = []
    for _ in range(draw(st.integers(1, 30))):
        user, day = draw(st.integers(0, users - 1)), draw(st.integers(0, len(phase_of) - 1))
        shown = draw(st.sampled_from([0, 1, 2, 5, 40000]))
        clicks = round(rate * shown) if draw(st.booleans()) else draw(st.integers(0, shown))
        rows.append((user, arm_of[user], phase_of[day], day, shown, clicks, draw(st.sampled_from(["x", "y"]))))
    rows.append((users - 1, arm_of[-1], phase_of[-1], len(phase_of) - 1, 3, 1, "x"))
    return pd.DataFrame(rows, columns=["user", "arm", "phase", "day", "exposures", "clicks", "kind"])


def figures(frame: pd.DataFrame, **said: Any) -> dict[str, dict[str, tuple[float, ...]]]:
    return {arm: {name: tuple(of) for name, of in found.items()} for arm, found in read(frame, **said).uplift.items()}


@settings(max_examples=50, deadline=None)
@given(tiny())
def test_next_to_nothing_has_an_answer_in_every_place(frame: pd.DataFrame) -> None:
    results = read(frame)
    view = RunView(results)
    said = [
        results.render(),
        repr(view),
        view._repr_html_(),
        *(results.sentence(arm) for arm in results.run.treatments),
    ]
    said += [part for check in results.checks for part in (check.says, check.do)] + results.notes
    assert not any("nan" in part.replace("finance", "") or "inf" in part for part in said)
    json.loads(results.to_json())
    for row in results.phases:
        assert math.isnan(row.ctr) if not row.users else 0 <= row.lo <= row.ctr <= row.hi <= 1
    for look in (look for looks in results.sequential.values() for look in looks):
        assert math.isnan(look.lo) or look.lo <= look.estimate.relative <= look.hi
    for name in (
        "headline",
        "daily_uplift",
        "looks",
        "segments",
        "novelty",
        "phases",
        "checks",
        "true_uplift",
        "bounds",
        "catalogue",
        "reliability",
    ):
        assert isinstance(getattr(view, name), pd.DataFrame)


@settings(max_examples=25, deadline=None)
@given(tiny(), st.randoms(use_true_random=False))
def test_the_order_of_rows_and_the_names_of_users_change_nothing(frame: pd.DataFrame, random: Any) -> None:
    order = random.sample(range(len(frame)), len(frame))
    renamed = frame.assign(user=[f"user {7 * i % 11}" for i in frame["user"]]).iloc[order]
    one, other = figures(frame), figures(renamed)
    assert one.keys() == other.keys()
    for arm, found in one.items():
        for name, values in found.items():
            assert other[arm][name] == pytest.approx(values, rel=1e-6, abs=1e-9, nan_ok=True)


@settings(max_examples=25, deadline=None)
@given(tiny())
def test_with_the_baseline_turned_round_a_ratio_is_one_over_it(frame: pd.DataFrame) -> None:
    for arm, found in figures(frame).items():
        if "control" not in set(frame.loc[frame["exposures"] > 0, "arm"]):
            continue
        back = figures(frame, baseline=arm)["control"]
        for name, (relative, lo, hi, p) in found.items():
            if math.isnan(relative):
                assert math.isnan(back[name][0])
            else:
                assert np.log1p([relative, lo, hi]) == pytest.approx([-math.log1p(back[name][i]) for i in (0, 2, 1)])
                assert back[name][3] == pytest.approx(p)
