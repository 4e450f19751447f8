"""Scoring and stamping inside somebody's serving process, always by the newest published version.

from reloop_stream import Scorer, TopicOfSnapshots

with Scorer(TopicOfSnapshots(log, "snapshots"), base_rate=0.05) as scorer:
    scores = scorer.score(features)
    shown = scores.exposures(request_id=..., exposure_id=..., ...)
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from reloop_stream.errors import EventError, LogError, SnapshotError
from reloop_stream.events import Column
from reloop_stream.features.check import check_candidates, check_columns
from reloop_stream.learners.base import BaseRate, FrozenModel
from reloop_stream.serving.scores import Scores, columns_of
from reloop_stream.serving.snapshot import SnapshotSource
from reloop_stream.serving.snapshot_folder import FolderOfSnapshots

__all__ = ["Scorer"]

logger = logging.getLogger(__name__)

CLOSE_PATIENCE_S = 5.0  # a look for versions that hangs in a dead broker must not keep a process from ending


class Scorer:
    """Scores by the newest version that a source has, looked for every `refresh_s` seconds by a thread of its own.

    A newer version is read, checked, built and tried off to the side; then one reference is swapped. So scoring takes no
    lock and never waits, any number of threads may score at once, and each result is of one version. A version that
    cannot be used is passed over with a line in the log, and the one before it goes on serving. Before the first version
    the base rate is served, as version 0: learners know such stamps for what they are.

    Versions only rise: a learner that begins anew must publish under another name, or to another place. Threads and
    Kafka's clients do not survive a fork: make one in each process that serves.

    source: a folder of snapshots (a path, or a text that is one), or a `FolderOfSnapshots` or `TopicOfSnapshots`.
    base_rate: in (0, 1). Raises TypeError for another source, SnapshotError where several learners publish to it and none
    was named.
    """

    def __init__(
        self, source: SnapshotSource | str | PathLike[str], *, base_rate: float, refresh_s: float = 1.0
    ) -> None:
        if not 0 < refresh_s <= threading.TIMEOUT_MAX:  # NaN fails too
            raise ValueError(f"refresh_s: got {refresh_s}, must be above 0 and a time that a thread can wait")
        self._source = _source(source)
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
        """pCTR [n] of rows given as columns [n], or one by one as dictionaries; of no rows, none.

        Raises EventError naming a feature: that the version which serves lacks or cannot take, or, the base rate's
        version 0 too, that no model could take, be it of the model's fields or not.
        """
        model = self._model
        columns = features if isinstance(features, Mapping) else columns_of(features)
        if not columns and not isinstance(features, Mapping) and not len(features):
            return Scores(np.zeros(0), model.name, model.version)
        check_columns(columns)
        return _scores(model, model.predict(columns), columns)

    def score_candidates(
        self, request_features: Mapping[str, Column], item_features: Mapping[str, Column], candidates: np.ndarray
    ) -> Scores:
        """pCTR [R, K] of each request's candidates, faster than row by row: each request and item is embedded once.

        Request columns are [R], item columns [N], candidates int [R, K] are rows of the items. Raises EventError as `score`
        does, and where a candidate is none of the items.
        """
        model = self._model
        requests = check_columns(request_features, "request_features")
        items = check_columns(item_features, "item_features")
        candidates = check_candidates(candidates, requests, items)
        pctr = model.score_candidates(request_features, item_features, candidates)
        return _scores(model, pctr, {**item_features, **request_features})

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


def _source(source: Any) -> SnapshotSource:
    if isinstance(source, str | PathLike):
        return FolderOfSnapshots(Path(source))
    if not callable(getattr(source, "newest", None)) or isinstance(source, type):
        raise TypeError(
            f"source: got a value of type {type(source).__name__}, must be a folder (a path or a text), "
            "a FolderOfSnapshots or a TopicOfSnapshots"
        )
    found: SnapshotSource = source
    return found


def _scores(model: FrozenModel, pctr: np.ndarray, columns: Mapping[str, Column]) -> Scores:
    """The predictions with their stamp. Raises EventError where one is no number, which is never to be served."""
    if not (pctr.min(initial=0.0) >= 0 and pctr.max(initial=0.0) <= 1):  # NaN fails too
        largest = {
            f"features.{name}": float(np.abs(column).max(initial=0.0))
            for name, column in columns.items()
            if isinstance(column, np.ndarray) and column.dtype.kind == "f"
        }
        raise EventError(
            f"pctr: version {model.version} of {model.name} predicts no number between 0 and 1; what is too large for it, "
            f"of {largest or 'no numbers'}?"
        )
    return Scores(pctr, model.name, model.version)
