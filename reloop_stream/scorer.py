"""Scoring and stamping inside somebody's serving process, always by the newest published version.

from reloop_stream.published import TopicOfSnapshots
from reloop_stream.scorer import Scorer

with Scorer(TopicOfSnapshots(log, "snapshots"), base_rate=0.05) as scorer:
    scores = scorer.score(features)
    shown = scores.exposures(request_id=..., exposure_id=..., ...)
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from reloop_stream.errors import EventError, LogError, SnapshotError
from reloop_stream.events import Column, ExposureBatch, ListColumn, constant
from reloop_stream.learners.base import BaseRate, FrozenModel
from reloop_stream.published import FolderOfSnapshots, SnapshotSource

__all__ = ["Scorer", "Scores", "columns_of"]

logger = logging.getLogger(__name__)

CLOSE_PATIENCE_S = 5.0  # a look for versions that hangs in a dead broker must not keep a process from ending


@dataclass(frozen=True)
class Scores:
    """Predictions, and the model version that made every one of them: what a stamp consists of.

    pctr: float64, [n] or [requests, candidates].
    """

    pctr: np.ndarray
    model_name: str
    model_version: int

    def __getitem__(self, at: Any) -> Scores:
        """The scores at an index of `pctr` (numpy's rules), of the items that are shown, say.

        >>> scores = Scores(np.array([[0.1, 0.3, 0.2]]), "ctr", 7)
        >>> best = scores.pctr[0].argsort()[::-1][:2]
        >>> scores[0, best]
        Scores(pctr=array([0.3, 0.2]), model_name='ctr', model_version=7)
        """
        return replace(self, pctr=self.pctr[at])

    def exposures(
        self,
        *,
        request_id: Any,
        exposure_id: Any,
        event_time_ms: Any,
        user_id: Any,
        item_id: Any,
        position: Any,
        n_candidates: Any,
        features: Mapping[str, Column],
        arm: Any = "",
        propensity: Any = np.nan,
    ) -> ExposureBatch:
        """Stamped exposures, ready for `reloop_stream.codec.records.encode`; `pctr` must be [n].

        Each column is [n], or one value for all rows. features: as they were scored. Raises EventError where a column
        is of another length.
        """
        n = len(self.pctr)
        if self.pctr.ndim != 1:
            raise EventError(
                f"pctr: has {self.pctr.ndim} dimensions, must have one; pick what is shown first: scores[...]"
            )
        return ExposureBatch(
            request_id=_column("request_id", request_id, n),
            exposure_id=_column("exposure_id", exposure_id, n),
            event_time_ms=_column("event_time_ms", event_time_ms, n, np.int64),
            user_id=_column("user_id", user_id, n),
            item_id=_column("item_id", item_id, n),
            arm=_column("arm", arm, n),
            position=_column("position", position, n, np.int32),
            n_candidates=_column("n_candidates", n_candidates, n, np.int32),
            model_name=constant(self.model_name, n),
            model_version=constant(self.model_version, n, np.int64),
            pctr=self.pctr,
            propensity=_column("propensity", propensity, n, np.float64),
            features={name: _of_length(f"features.{name}", column, n) for name, column in features.items()},
        )


def _column(name: str, values: Any, n: int, dtype: Any = None) -> np.ndarray:
    if isinstance(values, str) or np.ndim(values) == 0:
        return constant(values, n, dtype)
    column = np.asarray(values, dtype=dtype)
    return _of_length(name, column, n)  # type: ignore[return-value]


def _of_length(name: str, column: Column, n: int) -> Column:
    if len(column) != n:
        raise EventError(f"{name}: has {len(column)} rows, the scores have {n}")
    return column


def columns_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, Column]:
    """The columns of rows given one by one: a feature is an integer, a text, a float, or a list of integers or texts.

    Raises EventError where rows have different features, or a feature values of different types.

    >>> columns_of([{"user": 7, "price": 1}, {"user": 7, "price": 0.5}])
    {'user': array([7, 7]), 'price': array([1. , 0.5])}
    """
    names = rows[0].keys() if rows else ()
    for row in rows:
        if row.keys() != names:
            raise EventError(f"features: rows must have the same ones, got {sorted(names)} and {sorted(row)}")
    return {name: _feature(name, [row[name] for row in rows]) for name in names}


def _feature(name: str, values: list[Any]) -> Column:
    if all(isinstance(value, (list, tuple)) for value in values):
        offsets = np.concatenate(([0], np.cumsum([len(value) for value in values])))
        flat = [one for value in values for one in value]
        return ListColumn(_scalars(name, flat) if flat else np.zeros(0, dtype=np.int64), offsets.astype(np.int64))
    return _scalars(name, values)


def _scalars(name: str, values: list[Any]) -> np.ndarray:
    for types, dtype in (
        ((int, np.integer), np.int64),
        ((int, float, np.integer, np.floating), np.float64),
        (str, object),
    ):
        if all(isinstance(value, types) for value in values):  # type: ignore[arg-type]
            return np.array(values, dtype=dtype)
    raise EventError(f"features.{name}: got {values[:3]}, must be integers, numbers, texts, or lists of these")


class Scorer:
    """Scores by the newest version that a source has, looked for every `refresh_s` seconds by a thread of its own.

    A newer version is read, checked, built and tried off to the side; then one reference is swapped. So scoring takes no
    lock and never waits, any number of threads may score at once, and each result is of one version. A version that
    cannot be used is passed over with a line in the log, and the one before it goes on serving. Before the first version
    the base rate is served, as version 0: learners know such stamps for what they are.

    Versions only rise: a learner that begins anew must publish under another name, or to another place. Threads and
    Kafka's clients do not survive a fork: make one in each process that serves.

    source: a folder of snapshots, or what `reloop_stream.published` makes of a folder or topic. base_rate: in (0, 1).
    Raises SnapshotError where several learners publish to the source and none was named.
    """

    def __init__(self, source: SnapshotSource | Path, *, base_rate: float, refresh_s: float = 1.0) -> None:
        if refresh_s <= 0:
            raise ValueError(f"refresh_s: got {refresh_s}, must be > 0")
        self._source = FolderOfSnapshots(source) if isinstance(source, Path) else source
        self._model: FrozenModel = BaseRate(base_rate)
        self._refresh_s = refresh_s
        self._said = ""
        self._stopping = threading.Event()
        try:
            self._take_newest()
        except LogError as error:  # serving begins without a broker too
            self._say(error)
        self._thread = threading.Thread(target=self._follow, name="reloop-scorer", daemon=True)
        self._thread.start()

    @property
    def version(self) -> int:
        """The version that serves now; 0 is the base rate."""
        return self._model.version

    def score(self, features: Mapping[str, Column] | Sequence[Mapping[str, Any]]) -> Scores:
        """pCTR [n] of rows given as columns [n], or one by one as dictionaries. Raises EventError naming a feature."""
        model = self._model
        columns = features if isinstance(features, Mapping) else columns_of(features)
        return Scores(model.predict(columns), model.name, model.version)

    def score_candidates(
        self, request_features: Mapping[str, Column], item_features: Mapping[str, Column], candidates: np.ndarray
    ) -> Scores:
        """pCTR [R, K] of each request's candidates, faster than row by row: each request and item is embedded once.

        Request columns are [R], item columns [N], candidates int [R, K] are rows of the items.
        """
        model = self._model
        pctr = model.score_candidates(request_features, item_features, candidates)
        return Scores(pctr, model.name, model.version)

    def _take_newest(self) -> None:
        found = self._source.newest(self._model.version)
        if found is None:
            return
        snapshot, model = found
        self._model = model
        logger.info("%s: version %d serves", snapshot.learner, snapshot.version)

    def _follow(self) -> None:
        try:
            while not self._stopping.wait(self._refresh_s):
                try:
                    self._take_newest()
                    self._said = ""
                except (LogError, SnapshotError, OSError) as error:
                    self._say(error)
                except (
                    Exception
                ):  # whatever it is, the version that serves goes on serving, and the next look may succeed
                    logger.exception("looking for a newer version failed")
        finally:
            self._source.close()

    def _say(self, error: Exception) -> None:
        """Once, and not again every second."""
        if str(error) != self._said:
            self._said = str(error)
            logger.warning("no newer version: %s", error)

    def close(self) -> None:
        """Stop looking for versions. Scoring goes on to work."""
        self._stopping.set()
        self._thread.join(CLOSE_PATIENCE_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
