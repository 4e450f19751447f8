"""Which segments a user, or a row of the users' table, belongs to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from simulator.readout.statistics.segments import Segment
from simulator.readout.statistics.users import PHASES, ArmRows, Users, coded_column

__all__ = ["MOST_VALUES", "activity_before", "of_rows", "of_users", "tenure"]

MOST_VALUES = 12
THIRDS = ("low", "middle", "high")
OTHER = "other"
TENURE = ("since warm-up", "since A/A", "new in A/B")


def tenure(users: Users) -> Segment:
    """When a user came first: in the warm-up, in A/A, or in A/B, where nobody knows the user from before."""
    return _by_user("tenure", TENURE, {arm: _first_phase(rows) for arm, rows in users.arms.items()}, users)


def activity_before(users: Users) -> Segment:
    """Thirds of the users by their exposures before A/B; nobody new."""
    shown = {
        arm: np.bincount(rows.user, rows.exposures * ~rows.of_phase("ab"), len(rows.who))
        for arm, rows in users.arms.items()
    }
    known = np.concatenate([counts[counts > 0] for counts in shown.values()])
    cuts = _cuts(known)
    of_user = {arm: np.where(counts > 0, _third(counts, cuts), -1) for arm, counts in shown.items()}
    return _by_user("activity", THIRDS, of_user, users)


def of_users(users: Users, attributes: pa.Table, but: Sequence[str] = ()) -> Iterator[Segment]:
    """A segment a column of a table with a row a user: user_id and what is known of them, whole numbers being codes.

    but: columns to leave out.
    """
    place = pc.index_in(users.ids, value_set=attributes["user_id"].combine_chunks().cast(users.ids.type))
    for name in attributes.column_names:
        if name != "user_id" and name not in but:
            values, of_user = _coded(attributes[name].take(place), codes=True)
            yield _by_user(name, values, {arm: of_user[rows.who] for arm, rows in users.arms.items()}, users)


def of_rows(users: Users, table: pa.Table, columns: Sequence[str], *, codes: bool = False) -> Iterator[Segment]:
    """A segment a column of the users' table itself: a user may be in several of its values, with a part of the rows each.

    codes: whether whole numbers are.
    """
    for name in columns:
        values, of_row = _coded(table[name], codes=codes)
        yield Segment(name, values, {arm: of_row[rows.row] for arm, rows in users.arms.items()}, users.arms)


def _by_user(name: str, values: Sequence[str], of_user: Mapping[str, np.ndarray], users: Users) -> Segment:
    """of_user: arm → place in `values` of each of its users."""
    return Segment(name, values, {arm: of_user[arm][rows.user] for arm, rows in users.arms.items()}, users.arms)


def _first_phase(rows: ArmRows) -> np.ndarray:
    """The place of the first phase that each user was seen in: int [n]."""
    first = np.full(len(rows.who), len(TENURE) - 1)
    for phase in ("aa", "warmup"):
        first[rows.user[rows.of_phase(phase)]] = PHASES.index(phase)
    return first


def _coded(column: pa.ChunkedArray, *, codes: bool) -> tuple[Sequence[str], np.ndarray]:
    """The values as text, and the place of each row's: int8 [rows], -1 where it has none.

    Numbers of more than MOST_VALUES kinds are cut into thirds; of other values, and of codes, the rarer ones are put together.
    """
    coded = coded_column(column)
    kinds, places = coded.dictionary, coded.indices.fill_null(-1).to_numpy()
    if len(kinds) > MOST_VALUES and (
        pa.types.is_floating(kinds.type) or (pa.types.is_integer(kinds.type) and not codes)
    ):
        numbers = kinds.to_numpy().astype(float)
        cuts = _cuts(numbers[places[places >= 0]])
        return THIRDS, _taken(_third(numbers, cuts), places)
    order = pc.sort_indices(kinds).to_numpy()
    often = np.bincount(places[places >= 0], minlength=len(kinds))
    kept = (
        order
        if len(order) <= MOST_VALUES
        else order[np.sort(np.argsort(-often[order], kind="stable")[: MOST_VALUES - 1])]
    )
    names = [_text(kinds[i].as_py()) for i in kept.tolist()]
    place = np.full(len(kinds), len(kept))
    place[kept] = np.arange(len(kept))
    return [*names, OTHER], _taken(place, places)


def _taken(of_kind: np.ndarray, places: np.ndarray) -> np.ndarray:
    return np.append(of_kind, -1).astype(np.int8)[places]  # the place -1 is the last


def _text(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _cuts(numbers: np.ndarray) -> np.ndarray:
    known = numbers[np.isfinite(numbers)]
    return np.quantile(known, (1 / 3, 2 / 3)) if len(known) else np.zeros(2)


def _third(numbers: np.ndarray, cuts: np.ndarray) -> np.ndarray:
    """0, 1 or 2; -1 of what is no number."""
    return np.where(np.isfinite(numbers), np.searchsorted(cuts, numbers, side="right"), -1)
