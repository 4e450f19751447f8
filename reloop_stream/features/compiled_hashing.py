"""`reloop_stream.features.hashing` of integers in one compiled pass: the same rows, without an array between any two of its steps."""

from __future__ import annotations

import numpy as np

from reloop_stream.features.hashing import FIRST, GOLDEN, SECOND
from reloop_stream.runtime.compiled import compiled

__all__ = ["rows_of_integers"]


def rows_of_integers(values: np.ndarray, salt: np.uint64, buckets: int, start: int, out: np.ndarray) -> None:
    """start + bucket(hash_integers(values, salt), buckets) into out, int64 [n], from integers [n].

    >>> from reloop_stream.features.hashing import bucket, hash_integers
    >>> values, salt, out = np.array([3, -7]), np.uint64(5), np.empty(2, dtype=np.int64)
    >>> rows_of_integers(values, salt, 100, 1000, out)
    >>> out.tolist() == (1000 + bucket(hash_integers(values, salt), 100)).tolist()
    True
    """
    bits = np.ascontiguousarray(values, dtype=np.int64).view(np.uint64)
    _rows(bits, salt, np.uint64(buckets), start, out, GOLDEN, FIRST, SECOND)


@compiled
def _rows(bits, salt, buckets, start, out, golden, first, second):  # type: ignore[no-untyped-def]
    for i in range(len(out)):
        mixed = (bits[i] ^ salt) + golden
        mixed = (mixed ^ (mixed >> np.uint64(30))) * first
        mixed = (mixed ^ (mixed >> np.uint64(27))) * second
        mixed ^= mixed >> np.uint64(31)
        out[i] = start + np.int64((mixed >> np.uint64(32)) * buckets >> np.uint64(32))
