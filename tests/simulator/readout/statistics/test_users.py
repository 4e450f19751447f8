"""Sums by user equal those of pandas, whatever the order of rows and the kind of ids."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from simulator.readout.statistics.users import UserSums, group_users

ARMS = ("b", "a")


def some_rows(seed: int, *, text: bool) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    n = 400
    user = rng.integers(0, 40, n)
    day = rng.integers(0, 6, n)
    frame = pd.DataFrame(
        {
            "user_id": [f"u{i}" for i in user] if text else user * 7919,
            "arm": np.where(user % 3 == 0, "a", "b"),
            "day": day,
            "phase": np.array(["warmup", "warmup", "aa", "aa", "ab", "ab"])[day],
            "exposures": rng.integers(1, 9, n),
        }
    )
    return frame.assign(clicks=rng.binomial(frame["exposures"], 0.2))


def by_hand(frame: pd.DataFrame, now: pd.Series) -> UserSums:
    """pandas' own sums, for users who have a row in `now`, in the order of ids."""
    then = frame[frame["phase"] == "aa"].groupby("user_id")[["exposures", "clicks"]].sum()
    sums = frame[now].groupby("user_id")[["exposures", "clicks"]].sum()
    before = then.reindex(sums.index, fill_value=0)
    return UserSums(*(part[name].to_numpy(float) for part in (sums, before) for name in ("exposures", "clicks")))


@pytest.mark.parametrize("text", [False, True])
def test_sums_are_those_of_pandas(text: bool) -> None:
    frame = some_rows(1, text=text)
    users = group_users(pa.Table.from_pandas(frame), ARMS)
    shuffled = group_users(pa.Table.from_pandas(frame.sample(frac=1, random_state=2)), ARMS)
    assert users.ids.to_pylist() == sorted(frame["user_id"].unique())
    for arm in ARMS:
        rows, mine = users.arms[arm], frame[frame["arm"] == arm]
        assert [users.ids[i].as_py() for i in rows.who.tolist()] == sorted(mine["user_id"].unique())
        for day in range(6):
            np.testing.assert_array_equal(rows.sums(rows.day == day), by_hand(mine, mine["day"] == day))
        found = rows.sums(rows.of_phase("ab"))
        np.testing.assert_array_equal(found, by_hand(mine, mine["phase"] == "ab"))
        other = shuffled.arms[arm]
        np.testing.assert_array_equal(found, other.sums(other.of_phase("ab")))
        for day, so_far in zip((4, 5), rows.running([4, 5]), strict=True):
            np.testing.assert_array_equal(so_far, by_hand(mine, mine["day"].between(4, day)))


def test_a_past_of_its_own_can_be_asked_for() -> None:
    frame = some_rows(3, text=False)
    rows = group_users(pa.Table.from_pandas(frame), ARMS).arms["b"]
    found = rows.sums(rows.day == 5, rows.day == 4)
    mine = frame[frame["arm"] == "b"]
    before = mine[mine["day"] == 4].groupby("user_id")["clicks"].sum()
    ids = sorted(mine.loc[mine["day"] == 5, "user_id"].unique())
    np.testing.assert_array_equal(found.clicks_before, before.reindex(ids, fill_value=0))


def test_an_arm_that_nobody_is_in_has_no_users_and_a_table_without_rows_none_at_all() -> None:
    frame = some_rows(4, text=True)
    rows = group_users(pa.Table.from_pandas(frame), ("a", "b", "empty")).arms["empty"]
    assert all(len(column) == 0 for column in rows.sums(rows.of_phase("ab")))
    nobody = group_users(pa.Table.from_pandas(frame).slice(0, 0), ARMS)
    assert len(nobody.ids) == 0 and all(len(rows.row) == 0 for rows in nobody.arms.values())
