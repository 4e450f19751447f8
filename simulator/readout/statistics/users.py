"""Sums by user: what every statistic of a run is computed from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["PHASES", "ArmRows", "UserSums", "Users", "coded_column", "group_users"]

PHASES = ("warmup", "aa", "ab")


class UserSums(NamedTuple):
    """One arm's users: exposures and clicks in A/B, and in A/A before it (0 for users who first came in A/B). [n] each."""

    exposures: np.ndarray
    clicks: np.ndarray
    exposures_before: np.ndarray
    clicks_before: np.ndarray


@dataclass(frozen=True)
class ArmRows:
    """One arm's rows of a table of users, [rows] each, and its n users, in the order of their ids.

    who: [n], the users' places among those of all arms. row: the row's place in the table. user: which of the n it is.
    phase: place in (warmup, aa, ab).
    """

    who: np.ndarray
    row: np.ndarray
    user: np.ndarray
    day: np.ndarray
    phase: np.ndarray
    exposures: np.ndarray
    clicks: np.ndarray

    def of_phase(self, phase: str) -> np.ndarray:
        """Which rows are of a phase: bool [rows]."""
        return np.asarray(self.phase == PHASES.index(phase))

    def sums(self, now: np.ndarray, before: np.ndarray | None = None) -> UserSums:
        """Sums over the rows of `now`, for the users who have one, with those over `before` beside: bool [rows] each.

        before: the A/A days where it is None.
        """
        shown, clicked, seen = self._over(now)
        shown_before, clicked_before, _ = self._a_a if before is None else self._over(before)
        return UserSums(shown[seen], clicked[seen], shown_before[seen], clicked_before[seen])

    def running(self, days: Sequence[int]) -> Iterator[UserSums]:
        """Sums from the first of these days up to each of them, with the A/A sums beside."""
        n = len(self.who)
        shown, clicked, seen = np.zeros(n), np.zeros(n), np.zeros(n, dtype=bool)
        for day in days:
            more = self._over(self.day == day)
            shown, clicked, seen = shown + more[0], clicked + more[1], seen | more[2]
            yield UserSums(shown[seen], clicked[seen], self._a_a[0][seen], self._a_a[1][seen])

    @cached_property
    def _a_a(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self._over(self.of_phase("aa"))

    def _over(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Exposures, clicks and whether there is a row at all, of each user: [n] each."""
        chosen = np.flatnonzero(rows)
        user, n = self.user[chosen], len(self.who)
        shown, clicked = (np.bincount(user, column[chosen], n) for column in (self.exposures, self.clicks))
        return shown, clicked, np.bincount(user, minlength=n) > 0


class Users(NamedTuple):
    """A table of users by arm. ids: of the users of all arms, in their order."""

    ids: pa.Array
    arms: dict[str, ArmRows]


def group_users(users: pa.Table, arms: Sequence[str]) -> Users:
    """Number the users and divide the rows by arm, once for all sums.

    users: a row a user and day, or finer: user_id, arm, phase, exposures, clicks, and day where there are days.
    """
    coded = coded_column(users["user_id"])
    order = pc.sort_indices(coded.dictionary)
    place = np.empty(len(order), dtype=np.int32)
    place[order.to_numpy()] = np.arange(len(order))
    who = place[coded.indices.to_numpy()]
    arm_of = _places(users["arm"], arms)
    phase = _places(users["phase"], PHASES)
    day = users["day"].to_numpy() if "day" in users.column_names else np.zeros(len(users), np.int8)
    shown, clicked = (users[name].to_numpy() for name in ("exposures", "clicks"))
    found = {}
    for i, arm in enumerate(arms):
        rows = np.flatnonzero(arm_of == i).astype(np.int32)
        here = np.zeros(len(order), dtype=bool)
        here[who[rows]] = True
        user = (np.cumsum(here, dtype=np.int32) - 1)[who[rows]]
        found[arm] = ArmRows(np.flatnonzero(here), rows, user, day[rows], phase[rows], shown[rows], clicked[rows])
    return Users(coded.dictionary.take(order), found)


def coded_column(column: pa.ChunkedArray) -> pa.DictionaryArray:
    """The column's different values, and which of them each row has."""
    coded = column if pa.types.is_dictionary(column.type) else pc.dictionary_encode(column)
    whole: pa.DictionaryArray = coded.unify_dictionaries().combine_chunks()
    return whole


def _places(column: pa.ChunkedArray, names: Sequence[str]) -> np.ndarray:
    """The place of each value among the names: int16 [rows]; -1 where it is none of them."""
    coded = coded_column(column)
    known = {name: i for i, name in enumerate(names)}
    places = np.array([known.get(name, -1) for name in coded.dictionary.to_pylist()] or [-1], dtype=np.int16)
    return np.asarray(places[coded.indices.to_numpy()])
