"""The effect by time since a user met it first; and whether arms differed before they met it at all."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from simulator.readout.statistics.pre_period import ALARM
from tests.simulator.readout.own import experiment, read


def test_an_effect_of_the_first_day_alone_is_seen_on_it_alone() -> None:
    frame = experiment(users=6000, days=8)
    first = frame[frame["phase"] == "ab"].groupby("user")["day"].min()
    new = (frame["arm"] == "new") & (frame["phase"] == "ab") & (frame["day"] == frame["user"].map(first))
    frame.loc[new, "clicks"] = np.minimum(
        frame.loc[new, "exposures"], (frame.loc[new, "clicks"] * 1.6).round().astype(int)
    )
    found = read(frame).novelty["new"]
    assert [row.day for row in found] == [0, 1, 2, 3]
    assert found[0].estimate.lo > 0.1 and all(row.estimate.lo < 0.03 and row.estimate.hi > -0.03 for row in found[1:])
    assert found[0].users == len(first)


def test_days_are_counted_from_each_user_s_own_first() -> None:
    rows = [("a", 4), ("a", 6), ("b", 6), ("b", 7), ("c", 7), ("d", 7)]
    frame = pd.DataFrame(rows, columns=["user", "day"]).assign(phase="ab", exposures=5, clicks=1)
    frame["arm"] = frame["user"].map({"a": "control", "b": "new", "c": "new", "d": "control"})
    before = frame.assign(day=0, phase="aa", exposures=9)  # does not count as first
    found = read(pd.concat([before, frame])).novelty["new"]
    assert [(row.day, row.users) for row in found] == [(0, 4), (1, 1), (2, 1)]


@pytest.mark.parametrize("difference, alarm", [(0.0, False), (0.3, True)])
def test_a_difference_before_the_test_raises_the_alarm(difference: float, alarm: bool) -> None:
    frame = experiment(users=3000, uplift=difference)
    frame["phase"] = np.where(frame["phase"] == "ab", "aa", "warmup")  # the treatment works already in A/A
    results = read(frame)
    assert results.aa is not None and results.aa.alarm is alarm and (results.aa.p["new"] < ALARM) is alarm
    (check,) = [check for check in results.checks if check.name == "pre_period"]
    assert check.verdict == ("bad" if alarm else "good") and bool(check.do) is alarm


def test_several_arms_before_the_test_are_corrected_together_and_without_such_days_nothing_is_said() -> None:
    frame = experiment(arms=("control", "b", "c"))
    found = read(frame).aa
    assert found is not None and set(found.p) == {"b", "c"}
    alone = {arm: read(frame[frame["arm"].isin(["control", arm])]).aa for arm in ("b", "c")}
    single = sorted(check.p[arm] for arm, check in alone.items() if check is not None)
    assert min(found.p.values()) == pytest.approx(min(1.0, 2 * single[0]))
    assert read(frame[frame["phase"] == "ab"]).aa is None
