"""Predictions with what a stamp consists of, and the one place that stamps exposures with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from reloop_stream.errors import EventError
from reloop_stream.events import Column, ExposureBatch, ListColumn, constant

__all__ = ["Scores", "columns_of"]


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
        if all(isinstance(value, types) for value in values):
            return np.array(values, dtype=dtype)
    raise EventError(f"features.{name}: got {values[:3]}, must be integers, numbers, texts, or lists of these")
