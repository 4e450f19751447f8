"""How an arm ranked the slates of an open day, summed by user."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reloop_stream.events import ExposureBatch
from simulator.replay.ranking import rank_slates, ranking_columns
from simulator.world.draws import uniform

__all__ = ["RankingSums"]


class RankingSums:
    """Sums by user over slates ranked by their stamps. All of a slate comes in one call of `add`.

    top: the k of what is counted among the first k. seed: of the draws that decide among equal stamps. copies: of each event, one
    an arm: the draws are those of the event, the same in all arms.
    """

    def __init__(self, top: Sequence[int], seed: int, copies: int = 1) -> None:
        self._top = list(top)
        self._seed = seed
        self._copies = copies
        self.columns = ranking_columns(top)
        self._parts: list[tuple[np.ndarray, np.ndarray]] = []  # users [u], sums [u, columns]

    def add(self, exposures: ExposureBatch, label: np.ndarray) -> None:
        tie = uniform(self._seed, "ranking/tie", exposures.exposure_id // self._copies)
        slates = rank_slates(exposures.request_id, exposures.pctr, label, tie, self._top)
        sums = np.zeros((len(exposures), len(self.columns)))
        sums[slates.first] = slates.sums  # a row a slate, and every user there, for `users.parquet` has them
        self._parts.append(_by_user(exposures.user_id, sums))

    def in_one(self) -> tuple[np.ndarray, np.ndarray]:
        """Different users in their order, [u], and their sums, float64 [u, columns]."""
        if len(self._parts) != 1:
            nobody = np.zeros(0, dtype=np.int64), np.zeros((0, len(self.columns)))
            users, sums = map(np.concatenate, zip(*(self._parts or [nobody]), strict=True))
            self._parts = [_by_user(users, sums)]
        return self._parts[0]

    def restore(self, users: np.ndarray, sums: np.ndarray) -> None:
        self._parts = [(users, sums)]


def _by_user(users: np.ndarray, sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    different, of_row = np.unique(users, return_inverse=True)
    added = np.zeros((len(different), sums.shape[1]))
    np.add.at(added, of_row, sums)  # one after the other, so that cutting the parts elsewhere changes no bit
    return different, added
