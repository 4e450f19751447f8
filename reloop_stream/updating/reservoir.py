"""A uniform sample of all examples that a stream has brought, of bounded size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from reloop_stream.codec.records import batch_from_bytes, batch_to_bytes
from reloop_stream.events import ExampleBatch
from reloop_stream.features.hashing import field_salt, hash_integers, mix64

__all__ = ["Kept", "Reservoir"]

UNIT = 2.0**-53  # a double holds 53 bits
SHARE_APART = 0.125  # of the capacity, rows that may lie apart before they are copied together with the rest


class Kept(NamedTuple):
    """Examples of the reservoir. foreign: bool [n], rows that another arm's model served."""

    examples: ExampleBatch
    foreign: np.ndarray

    def take(self, rows: np.ndarray) -> Kept:
        return Kept(self.examples.take(rows), self.foreign[rows])

    def then(self, other: Kept) -> Kept:
        return Kept(ExampleBatch.concat([self.examples, other.examples]), np.concatenate((self.foreign, other.foreign)))


class Reservoir:
    """Reservoir sampling (Vitter 1985, "Random sampling with a reservoir", Algorithm R).

    The first `capacity` examples fill it. The example of number t (from 0) then takes a random place in [0, t], and is
    let in where that place lies in the reservoir: so each of the t + 1 examples is in it with the same probability.
    Both the places and the rows of a draw follow from the seed and a count, so there is no generator to keep.

    Rows that are let in lie apart at first, and those whose place they took stay where they are. From time to time all
    that is held is copied together: to do so at each step would cost as much as a step of learning.
    """

    def __init__(self, capacity: int, seed: int) -> None:
        self._capacity = capacity
        self._seed = seed
        self._salt = mix64(np.array([seed], dtype=np.uint64))[0] ^ field_salt("reservoir")
        self._seen = 0
        self._draws = 0
        self._old: Kept | None = None
        self._new: Kept | None = None  # let in since `_old` was copied together
        self._rows = np.zeros(0, dtype=np.int64)  # of each place, its row in `_old` and, after these, `_new`

    def offer(self, examples: ExampleBatch, foreign: np.ndarray) -> None:
        """Let examples in, in their order. foreign: bool [n]."""
        number = np.arange(self._seen, self._seen + len(examples))
        uniform = (hash_integers(number, self._salt) >> np.uint64(11)).astype(np.float64) * UNIT
        place = np.where(number < self._capacity, number, (uniform * (number + 1)).astype(np.int64))
        self._seen += len(examples)
        let_in = np.flatnonzero(place < self._capacity)
        if not len(let_in):
            return
        rows = np.zeros(min(self._seen, self._capacity), dtype=np.int64)
        rows[: len(self._rows)] = self._rows
        # Of two for one place the later one stays: numpy assigns in order.
        rows[place[let_in]] = _length(self._old) + _length(self._new) + np.arange(len(let_in))
        self._rows = rows
        new = Kept(examples, foreign).take(let_in)
        self._new = new if self._new is None else self._new.then(new)
        if len(self._new.foreign) > SHARE_APART * self._capacity:
            self._copy_together()

    def _copy_together(self) -> None:
        if self._new is not None:
            self._old, self._new = self._at(self._rows), None
            self._rows = np.arange(len(self._rows))

    def _at(self, rows: np.ndarray) -> Kept:
        if self._old is None or self._new is None:
            held = self._old or self._new
            assert held is not None
            return held.take(rows)
        is_old = rows < len(self._old.foreign)
        parts = self._old.take(rows[is_old]).then(self._new.take(rows[~is_old] - len(self._old.foreign)))
        return parts.take(np.argsort(np.concatenate((np.flatnonzero(is_old), np.flatnonzero(~is_old)))))

    def draw(self, n: int) -> Kept | None:
        """n of the examples without replacement, or all where it holds fewer; None where it is empty."""
        held = len(self._rows)
        if not held or not n:
            return None
        self._draws += 1
        places = np.random.default_rng((self._seed, self._draws)).choice(held, min(n, held), replace=False)
        return self._at(self._rows[places])

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        self._copy_together()
        meta = {"seen": self._seen, "draws": self._draws}
        if self._old is None:
            return meta, {}
        rows = np.frombuffer(batch_to_bytes(self._old.examples), dtype=np.uint8)
        return meta, {"rows": rows, "foreign": self._old.foreign}

    def restore(self, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        self._seen, self._draws = meta["seen"], meta["draws"]
        self._old, self._new, self._rows = None, None, np.zeros(0, dtype=np.int64)
        if "rows" in arrays:
            examples = batch_from_bytes(arrays["rows"].tobytes(), "example")
            self._old = Kept(examples, arrays["foreign"].astype(bool))
            self._rows = np.arange(len(examples))


def _length(kept: Kept | None) -> int:
    return 0 if kept is None else len(kept.foreign)
