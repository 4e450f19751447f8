"""A segment's uplift is that of an experiment with these users alone, corrected for all that were looked at."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from simulator.readout.statistics.multiplicity import holm
from simulator.readout.statistics.segment_values import activity_before, of_rows, of_users, tenure
from simulator.readout.statistics.segments import segment_uplifts
from simulator.readout.statistics.uplift import cuped, raw
from simulator.readout.statistics.users import group_users
from tests.simulator.readout.own import experiment, read

ARMS = ("control", "new")


def rows_of(frame: pd.DataFrame) -> pa.Table:
    return pa.Table.from_pandas(frame.rename(columns={"user": "user_id"}), preserve_index=False)


def test_an_effect_in_one_segment_is_found_there_and_nowhere_else() -> None:
    results = read(experiment(users=6000, uplift={"phone": 0.3, "desk": 0.0}))
    found = {row.value: row for row in results.segments if row.segment == "device"}
    assert found["phone"].estimate.lo > 0.1 and found["phone"].adjusted_p < 0.001
    assert found["desk"].estimate.lo < 0 < found["desk"].estimate.hi and found["desk"].adjusted_p > 0.05
    assert found["phone"].users + found["desk"].users == sum(r.users for r in results.phases if r.phase == "ab")


def test_each_segment_is_what_its_own_users_alone_give_and_all_are_corrected_together() -> None:
    frame = experiment(arms=("control", "b", "c"))
    results = read(frame)
    for row in results.segments:
        if row.segment == "device":
            alone = read(frame[frame["device"] == row.value])
            assert row.estimate == pytest.approx(alone.uplift[row.arm]["cuped"])
    p = {row[:3]: row.estimate.p for row in results.segments}
    assert [row.adjusted_p for row in results.segments] == pytest.approx([*holm(p).values()], nan_ok=True)
    assert {row.segment for row in results.segments} == {"activity", "tenure", "device"}


def test_tenure_is_when_a_user_came_first_and_a_new_one_has_no_past_to_adjust_by() -> None:
    frame = experiment(users=2000, days=6).sample(frac=0.4, random_state=1)
    frame["phase"] = np.array(["warmup", "aa", "aa", "ab", "ab", "ab"])[frame["day"]]
    first = frame.groupby("user")["day"].transform("min")
    segment = tenure(group_users(rows_of(frame), ARMS))
    found = {row.value: row for row in segment_uplifts([segment], "control", ["new"])}
    assert [*found] == ["since warm-up", "since A/A", "new in A/B"]
    for value, (low, high) in {"since warm-up": (0, 0), "since A/A": (1, 2), "new in A/B": (3, 5)}.items():
        mine = frame[first.between(low, high) & (frame["phase"] == "ab")]
        assert (found[value].users, found[value].exposures) == (mine["user"].nunique(), mine["exposures"].sum())
    new = group_users(rows_of(frame[first >= 3]), ARMS).arms
    pair = [new[arm].sums(new[arm].of_phase("ab")) for arm in ARMS]
    assert math.isnan(cuped(*pair).relative) and found["new in A/B"].estimate == raw(*pair)


def test_activity_is_cut_into_thirds_of_those_who_came_before() -> None:
    frame = experiment(users=900)
    before = frame[frame["phase"] == "aa"].groupby("user")["exposures"].sum()
    users = group_users(rows_of(frame), ARMS)
    segment = activity_before(users)
    cuts = np.quantile(before, (1 / 3, 2 / 3))
    for arm in ARMS:
        ids = users.ids.take(pa.array(users.arms[arm].who)).to_numpy()[users.arms[arm].user]
        expected = [-1 if i not in before.index else int(before[i] >= cuts[0]) + int(before[i] >= cuts[1]) for i in ids]
        assert segment.of_row[arm].tolist() == expected


def test_of_many_kinds_the_rarest_are_put_together_and_of_many_numbers_there_are_thirds() -> None:
    frame = experiment(users=3000)
    rng = np.random.default_rng(3)
    frame["page"] = rng.choice([f"p{i:02}" for i in range(30)], len(frame), p=np.arange(30) / np.arange(30).sum())
    frame["age"] = frame["user"] % 60 + 0.5
    frame["paying"] = frame["user"] % 2 == 0
    table = rows_of(frame)
    page, age, paying = of_rows(group_users(table, ARMS), table, ["page", "age", "paying"])
    often = frame["page"].value_counts().index[:11]
    assert page.values == [*sorted(often), "other"] and age.values == ("low", "middle", "high")
    assert paying.values[:2] == ["no", "yes"]
    counts = np.sum([np.bincount(of_row, minlength=12) for of_row in page.of_row.values()], axis=0)
    assert counts.tolist() == [int((frame["page"] == p).sum()) for p in sorted(often)] + [
        int((~frame["page"].isin(often)).sum())
    ]
    (code,) = of_rows(group_users(table, ARMS), table.append_column("code", table["user_id"]), ["code"], codes=True)
    assert len(code.values) == 12 and code.values[-1] == "other"
    thirds = np.sum([np.bincount(of_row, minlength=3) for of_row in age.of_row.values()], axis=0)
    assert thirds.min() > 0.3 * len(frame)


def test_what_is_known_of_users_is_found_by_their_ids_and_of_nobody_unknown() -> None:
    frame = experiment(users=50)
    known = pa.table({"user_id": [3, 1, 2], "region": ["south", "north", None]})
    users = group_users(rows_of(frame), ARMS)
    (region,) = of_users(users, known)
    for arm in ARMS:
        ids = users.ids.take(pa.array(users.arms[arm].who)).to_pylist()
        values = [ids[i] for i in users.arms[arm].user.tolist()]
        names = {1: "north", 3: "south"}
        told = [region.values[place] if place >= 0 else None for place in region.of_row[arm].tolist()]
        assert told == [names.get(i) for i in values]


def test_a_segment_with_too_little_claims_nothing_and_one_of_a_single_value_is_left_out() -> None:
    frame = experiment(users=300)
    frame["plan"] = np.where(frame["user"] < 12, "rare", "common")
    frame["country"] = "one"
    found = {(row.segment, row.value): row for row in read(frame).segments}
    assert math.isnan(found["plan", "rare"].estimate.relative) and math.isnan(found["plan", "rare"].adjusted_p)
    assert found["plan", "rare"].users == 12 and not math.isnan(found["plan", "common"].estimate.relative)
    assert not any(segment == "country" for segment, _ in found)
