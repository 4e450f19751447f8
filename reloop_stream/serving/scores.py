"""Predictions with what a stamp consists of, and the one place that stamps exposures with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from reloop_stream.errors import EventError
from reloop_stream.events import Column, ExposureBatch, ListColumn, check, constant, is_constant
from reloop_stream.features.check import check_column, check_columns, is_plain, is_real

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
        weight: Any = None,
    ) -> ExposureBatch:
        """Stamped exposures, ready for `reloop_stream.codec.records.encode`; `pctr` must be [n].

        Each column is [n], or one value for all rows; ids are integers or texts. features: as they were scored. weight:
        how often a row is to count in losses and metrics; left out, once. Raises EventError where a column is of another
        length or type, or breaks the event contract.
        """
        if not is_plain(self.pctr) or self.pctr.dtype.kind != "f":
            raise EventError(f"pctr: got {str(self.pctr)[:50]}, must be an array of floats")
        if self.pctr.ndim != 1:
            raise EventError(
                f"pctr: has {self.pctr.ndim} dimensions, must have one; pick what is shown first: scores[...]"
            )
        n = len(self.pctr)
        exposures = ExposureBatch(
            request_id=_ids("request_id", request_id, n),
            exposure_id=_ids("exposure_id", exposure_id, n),
            event_time_ms=_integers("event_time_ms", event_time_ms, n, np.int64),
            user_id=_ids("user_id", user_id, n),
            item_id=_ids("item_id", item_id, n),
            arm=_column("arm", arm, n, "UO", "a text"),
            position=_integers("position", position, n, np.int32),
            n_candidates=_integers("n_candidates", n_candidates, n, np.int32),
            model_name=constant(self.model_name, n),
            model_version=constant(self.model_version, n, np.int64),
            pctr=self.pctr,
            propensity=_numbers("propensity", propensity, n, "numbers, NaN where unknown"),
            features=_features(features, n),
            weight=None if weight is None else _numbers("weight", weight, n, "numbers above 0"),
        )
        check(exposures)  # some ten passes over numbers, a small part of what writing them costs
        return exposures


def _column(name: str, values: Any, n: int, allowed: str, rule: str) -> np.ndarray:
    """A column [n] of one value, or of a sequence's values. allowed: the kinds of numpy's types that it may have."""
    single = isinstance(values, str) or (not isinstance(values, Sequence) and np.ndim(values) == 0)
    if single:
        column = _scalars(name, [values])
    elif isinstance(values, Sequence):
        column = _scalars(name, list(values))
    else:
        column = values if isinstance(values, np.ndarray) else np.asarray(values)
    if not is_plain(column):
        raise EventError(f"{name}: got a masked array, must have a value in every row")
    if not single and column.shape != (n,):
        rows = f"{len(column)} rows" if column.ndim == 1 else f"the shape {column.shape}"
        raise EventError(f"{name}: has {rows}, the scores have {n}")
    if column.dtype.kind not in allowed:
        raise EventError(f"{name}: got values of numpy kind {column.dtype.kind!r}, must be {rule}")
    if column.dtype.kind != "f":  # a propensity that is not known is NaN
        check_column(name, column, len(column))
    return constant(column.reshape(()), n) if single else column


def _ids(name: str, values: Any, n: int) -> np.ndarray:
    return _column(name, values, n, "iuUO", "integers or texts")


def _integers(name: str, values: Any, n: int, dtype: type[np.integer[Any]]) -> np.ndarray:
    column, bounds = _column(name, values, n, "iu", "integers"), np.iinfo(dtype)
    if column.min(initial=0) < bounds.min or column.max(initial=0) > bounds.max:
        raise EventError(f"{name}: got {column.min()} to {column.max()}, must lie in [{bounds.min}, {bounds.max}]")
    return constant(column[0], n, dtype) if is_constant(column) else column.astype(dtype, copy=False)


def _numbers(name: str, values: Any, n: int, rule: str) -> np.ndarray:
    return _column(name, values, n, "iuf", rule).astype(np.float64, copy=False)


def _features(features: Mapping[str, Column], n: int) -> Mapping[str, Column]:
    if isinstance(features, Mapping) and not features:
        return features
    if (found := check_columns(features)) != n:
        raise EventError(f"features: have {found} rows, the scores have {n}")
    return features


def columns_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, Column]:
    """The columns of rows given one by one: a feature is an integer, a text, a float, a list of integers or texts, or such
    a list with weights, `{"values": [...], "weights": [...]}`.

    Raises EventError where rows have different features, or a feature values of different types.

    >>> columns_of([{"user": 7, "price": 1}, {"user": 7, "price": 0.5}])
    {'user': array([7, 7]), 'price': array([1. , 0.5])}
    """
    if (
        not isinstance(rows, Sequence)
        or isinstance(rows, str | bytes)
        or not all(isinstance(row, Mapping) for row in rows)
    ):
        raise EventError(f"features: got {str(rows)[:50]!r}, must be a mapping of columns, or a sequence of mappings")
    names = rows[0].keys() if rows else ()
    for row in rows:
        if row.keys() != names:
            raise EventError(f"features: rows must have the same ones, got {list(names)} and {list(row)}")
    return {name: _feature(f"features.{name}", [row[name] for row in rows]) for name in names}


def _feature(name: str, values: list[Any]) -> Column:
    if all(isinstance(value, (list, tuple, Mapping)) for value in values):
        lists = [_listed(name, value) for value in values]
        weights = None
        if any(isinstance(value, Mapping) for value in values):
            weights = _scalars(f"{name}: weights", [float(one) for _, several in lists for one in several])
        offsets = np.concatenate(([0], np.cumsum([len(several) for several, _ in lists])))
        flat = [one for several, _ in lists for one in several]
        column = _scalars(name, flat) if flat else np.zeros(0, dtype=np.int64)
        return ListColumn(column, offsets.astype(np.int64), weights)
    return _scalars(name, values)


def _listed(name: str, value: Any) -> tuple[Sequence[Any], Sequence[Any]]:
    """A list's values and their weights."""
    if not isinstance(value, Mapping):
        return value, [1.0] * len(value)
    many, weights = value.get("values"), value.get("weights")
    fits = isinstance(many, (list, tuple)) and isinstance(weights, (list, tuple)) and len(many) == len(weights)
    if not fits or len(value) > 2 or not all(is_real(weight) for weight in weights or ()):
        raise EventError(f"{name}: got {str(value)[:100]}, a list with weights has `values`, and `weights` for each")
    return many, weights  # type: ignore[return-value]


def _scalars(name: str, values: list[Any]) -> np.ndarray:
    """One after the other as an array: integers, numbers, or texts, which are never mixed, for 3 is not "3"."""
    for types, dtype in (
        ((int, np.integer), np.int64),
        ((int, float, np.integer, np.floating), np.float64),
        (str, object),
    ):
        if all(isinstance(value, types) and not isinstance(value, bool) for value in values):
            try:
                return np.array(values, dtype=dtype)
            except OverflowError:
                raise EventError(f"{name}: got an integer of more than 64 bits") from None
    raise EventError(f"{name}: got {str(values[:3])[:200]}, must be integers, numbers, texts, or lists of these")
