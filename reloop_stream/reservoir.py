"""A uniform sample of all examples that a stream has brought, of bounded size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from reloop_stream.checkpoint import batch_from_bytes, batch_to_bytes
from reloop_stream.events import ExampleBatch
from reloop_stream.hashing import field_salt, hash_integers, mix64

__all__ = ["Kept", "Reservoir"]

UNIT = 2.0**-53  # a double holds 53 bits


class Kept(NamedTuple):
    """Examples of the reservoir. foreign: bool [n], rows that another arm's model served."""

    examples: ExampleBatch
    foreign: np.ndarray


class Reservoir:
    """Reservoir sampling (Vitter 1985, "Random sampling with a reservoir", Algorithm R).

    The first `capacity` examples fill it. The example of number t (from 0) then takes a random place in [0, t], and is
    let in where that place lies in the reservoir: so each of the t + 1 examples is in it with the same probability.
    Both the places and the rows of a draw follow from the seed and a count, so there is no generator to keep.

    capacity: examples. What lets rows in copies the columns once, so a step costs up to O(capacity).
    """

    def __init__(self, capacity: int, seed: int) -> None:
        self._capacity = capacity
        self._seed = seed
        self._salt = mix64(np.array([seed], dtype=np.uint64))[0] ^ field_salt("reservoir")
        self._kept: Kept | None = None
        self._seen = 0
        self._draws = 0

    def offer(self, examples: ExampleBatch, foreign: np.ndarray) -> None:
        """Let examples in, in their order. foreign: bool [n]."""
        number = np.arange(self._seen, self._seen + len(examples))
        uniform = (hash_integers(number, self._salt) >> np.uint64(11)).astype(np.float64) * UNIT
        place = np.where(number < self._capacity, number, (uniform * (number + 1)).astype(np.int64))
        self._seen += len(examples)
        let_in = np.flatnonzero(place < self._capacity)
        if not len(let_in):
            return
        held = 0 if self._kept is None else len(self._kept.examples)
        rows = np.arange(min(self._seen, self._capacity))
        rows[place[let_in]] = held + let_in  # of two for one place the later one stays: numpy assigns in order
        if self._kept is not None:
            examples = ExampleBatch.concat([self._kept.examples, examples])
            foreign = np.concatenate((self._kept.foreign, foreign))
        self._kept = Kept(examples.take(rows), foreign[rows])

    def draw(self, n: int) -> Kept | None:
        """n of the examples without replacement, or all where it holds fewer; None where it is empty."""
        if self._kept is None or not n:
            return None
        self._draws += 1
        held = len(self._kept.examples)
        rows = np.random.default_rng((self._seed, self._draws)).choice(held, min(n, held), replace=False)
        return Kept(self._kept.examples.take(rows), self._kept.foreign[rows])

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        meta = {"seen": self._seen, "draws": self._draws}
        if self._kept is None:
            return meta, {}
        rows = np.frombuffer(batch_to_bytes(self._kept.examples), dtype=np.uint8)
        return meta, {"rows": rows, "foreign": self._kept.foreign}

    def restore(self, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        self._seen, self._draws = meta["seen"], meta["draws"]
        self._kept = None
        if "rows" in arrays:
            examples = batch_from_bytes(arrays["rows"].tobytes(), "example")
            self._kept = Kept(examples, arrays["foreign"].astype(bool))
