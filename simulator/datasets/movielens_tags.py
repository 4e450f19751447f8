"""MovieLens' tags: a tag that a user gave a film as a click, beside tags drawn at random that the user did not give it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from reloop_stream.events import Column
from simulator.datasets.cells import integers, texts
from simulator.datasets.config import MovieLensTagsConfig
from simulator.datasets.movielens import FIRST_YEAR, column_of, movielens_table
from simulator.datasets.rejects import Rejects
from simulator.datasets.rows import ReplayRows, find
from simulator.datasets.source import Source
from simulator.datasets.table import Table, converted
from simulator.datasets.times import Clock
from simulator.errors import DataError

__all__ = ["MovieLensTagsSource"]


class MovieLensTagsSource(Source):
    """Each given tag, followed by `negatives` others at the same time, in the order of time. All is held in memory: the largest
    release has a million tags.

    The recipe is that of He and Chua 2017, "Neural factorization machines", Section 4.1: for each tag assignment, tags that
    the user has not assigned to the film; here drawn uniformly from all tags there are. Features: user_id, item_id, tag.
    Raises DataError naming file and line.
    """

    def __init__(self, config: MovieLensTagsConfig) -> None:
        self._file = movielens_table(find(config.path), "tags.csv")
        super().__init__([self._file.path], "tag", "the tags' timestamps")
        self._config = config
        self._clock = Clock("timestamp", first_year=FIRST_YEAR)

    def blocks(self, rejects: Rejects) -> Iterator[ReplayRows]:
        self._clock = Clock("timestamp", first_year=FIRST_YEAR)
        user_name, item_name = column_of(self._file, "userId", "user_id"), column_of(self._file, "movieId", "item_id")

        def given(table: Table) -> ReplayRows:
            user, item, tag = integers(table, user_name), integers(table, item_name), texts(table, "tag")
            return ReplayRows(self._clock.times_ms(table), user, item, np.ones(len(tag), np.uint8), {"tag": tag})

        tables = self._file.tables([user_name, item_name, "tag", "timestamp"], rejects)
        if parts := list(converted(tables, rejects, given)):
            yield self._with_others(ReplayRows.concat(parts))

    def _with_others(self, given: ReplayRows) -> ReplayRows:
        different, code = np.unique(np.asarray(given.features["tag"]).astype(str), return_inverse=True)
        # By tag too: the order of the file must not choose which tags are drawn.
        order = np.lexsort((code, given.item_id, given.user_id, given.time_ms))
        given, code = given.take(order), code[order]
        _, film = np.unique(np.stack((given.user_id, given.item_id)), axis=1, return_inverse=True)
        if np.bincount(np.unique(film * len(different) + code) // len(different)).max() == len(different):
            raise DataError(
                f"{self._file.name}: a user gave a film every tag that there is; no other can be drawn beside it"
            )
        drawn = _others(film, code, len(different), self._config)
        each = 1 + self._config.negatives
        tags = different[np.column_stack((code, drawn)).ravel()].astype(object)
        user, item = np.repeat(given.user_id, each), np.repeat(given.item_id, each)
        label = (np.arange(len(tags)) % each == 0).astype(np.uint8)
        features: dict[str, Column] = {"user_id": user, "item_id": item, "tag": tags}
        return ReplayRows(np.repeat(given.time_ms, each), user, item, label, features)

    @property
    def doubt(self) -> str:
        return self._clock.doubt


def _others(film: np.ndarray, tag: np.ndarray, n_tags: int, config: MovieLensTagsConfig) -> np.ndarray:
    """For each row tags that its user did not give its film, [n, negatives]. film, tag: numbers of both, [n]."""
    rng = np.random.default_rng(config.seed)
    given = np.unique(film * n_tags + tag)
    drawn = rng.integers(0, n_tags, (len(tag), config.negatives))
    while (taken := np.isin(film[:, None] * n_tags + drawn, given)).any():
        drawn[taken] = rng.integers(0, n_tags, np.count_nonzero(taken))
    return drawn
