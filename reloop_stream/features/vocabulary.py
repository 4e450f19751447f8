"""Exact vocabularies that grow while a learner learns: value → row of the embedding table."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from reloop_stream.errors import StateError

__all__ = ["Vocabulary"]

Value = int | str


class Vocabulary:
    """The values of some fields that have been learnt, each with a row: in the order in which they came, fields mixed.

    Append-only, so that readers may share it with the one learner that adds to it: a reader ignores rows from the
    `end` that it once saw.

    limits: field → how many values it may hold. first: the first row that is given out; end: the next one.

    >>> vocabulary = Vocabulary({"city": 2}, first=10)
    >>> vocabulary.learn("city", np.array(["Bern", "Rom", "Bern", "Ulm"], dtype=object))
    >>> vocabulary.rows("city", np.array(["Rom", "Ulm"], dtype=object), unknown=3).tolist(), vocabulary.end
    ([11, 3], 12)
    """

    def __init__(self, limits: Mapping[str, int], first: int) -> None:
        self._limits = dict(limits)
        self._first = first
        self._rows: dict[str, dict[Value, int]] = {field: {} for field in limits}
        self.end = first

    def learn(self, field: str, values: np.ndarray) -> None:
        """Give rows to values that have none, in the order in which they first appear, as long as the field has room."""
        rows = self._rows[field]
        for value in dict.fromkeys(_keys(values)):
            if len(rows) >= self._limits[field]:
                return
            if value not in rows:
                rows[value] = self.end
                self.end += 1

    def rows(self, field: str, values: np.ndarray, unknown: int) -> np.ndarray:
        """The row of each value, int64 [n]; `unknown` for those without one."""
        known = self._rows[field]
        return np.fromiter(map(known.get, _keys(values), itertools.repeat(unknown)), dtype=np.int64, count=len(values))

    def state(self, end: int) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """The values whose rows lie below `end`: as JSON in bytes, for an array cannot hold texts, and their rows."""
        arrays: dict[str, np.ndarray] = {}
        for field, known in self._rows.items():
            # Both lists are made in one go: a learner in another thread may add to the dictionary meanwhile.
            rows = np.array(list(known.values()), dtype=np.int64)
            n = int(np.searchsorted(rows, end))
            values = msgspec.json.encode(list(known)[:n])
            arrays |= {f"{field}.values": np.frombuffer(values, dtype=np.uint8), f"{field}.rows": rows[:n]}
        return {"fields": sorted(self._rows)}, arrays

    def restored(self, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Vocabulary:
        """Another vocabulary of the same fields, with what `state` gave. Raises StateError where it is of others."""
        if meta.get("fields") != sorted(self._rows):
            raise StateError(f"state: vocabulary of {meta.get('fields')}, this model's is of {sorted(self._rows)}")
        vocabulary = Vocabulary(self._limits, self._first)
        try:
            for field, known in vocabulary._rows.items():
                values = msgspec.json.decode(arrays[f"{field}.values"].tobytes(), type=list[Value])
                known.update(zip(values, arrays[f"{field}.rows"].tolist(), strict=True))
        except (KeyError, ValueError, msgspec.DecodeError) as error:
            raise StateError(f"state: holds no vocabulary that can be read ({error})") from None
        given = sorted(row for known in vocabulary._rows.values() for row in known.values())
        vocabulary.end = self._first + len(given)
        if given != list(range(self._first, vocabulary.end)):
            raise StateError(f"state: vocabulary's rows are not {self._first} to {vocabulary.end - 1}, each once")
        return vocabulary


def _keys(values: np.ndarray) -> list[Value]:
    if values.dtype.kind in "iu":
        found: list[Value] = values.astype(np.int64).tolist()
        return found
    return list(map(str, values.tolist()))
