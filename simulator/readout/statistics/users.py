"""Sums by user: what every statistic of a run is computed from."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa

__all__ = ["user_sums"]


class UserSums(NamedTuple):
    """One arm's users: exposures and clicks in A/B, and in A/A before it (0 for users who first came in A/B). [n] each."""

    exposures: np.ndarray
    clicks: np.ndarray
    exposures_before: np.ndarray
    clicks_before: np.ndarray


def user_sums(users: pa.Table, arm: str, day: int | None = None) -> UserSums:
    """Sums by user over the A/B days (or one day of any phase), for users seen in them, with their A/A sums beside."""
    mine = users.filter(pa.compute.equal(users["arm"], arm))
    if day is None:
        chosen = mine.filter(pa.compute.equal(mine["phase"], "ab"))
    else:
        chosen = mine.filter(pa.compute.equal(mine["day"], day))
    before = mine.filter(pa.compute.equal(mine["phase"], "aa"))
    sums = [("exposures", "sum"), ("clicks", "sum")]
    now = chosen.group_by("user_id").aggregate(sums)
    then = before.group_by("user_id").aggregate(sums).rename_columns(["user_id", "exposures_before", "clicks_before"])
    joined = now.join(then, "user_id", join_type="left outer").sort_by("user_id")

    def column(name: str) -> np.ndarray:
        values: np.ndarray = pa.compute.fill_null(joined[name], 0).to_numpy()
        return values.astype(float)

    return UserSums(*(column(n) for n in ("exposures_sum", "clicks_sum", "exposures_before", "clicks_before")))
