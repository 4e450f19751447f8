"""Hashing feature values into buckets: integers by a 64-bit mix in numpy, text by MurmurHash3, the field's name included.

The same mix draws numbers that depend on their place alone.
"""

from __future__ import annotations

import mmh3
import numpy as np

__all__ = ["bucket", "field_salt", "hash_integers", "hash_texts", "mix64", "normals"]

# The finaliser of SplitMix64 (Steele, Lea, Flood 2014): every input bit changes half of the output's.
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
FIRST = np.uint64(0xBF58476D1CE4E5B9)
SECOND = np.uint64(0x94D049BB133111EB)


def mix64(values: np.ndarray) -> np.ndarray:
    """SplitMix64 of each value: uint64 [n].

    >>> mix64(np.array([0], dtype=np.uint64)).tolist()
    [16294208416658607535]
    """
    mixed = values.astype(np.uint64) + GOLDEN
    mixed ^= mixed >> np.uint64(30)
    mixed *= FIRST
    mixed ^= mixed >> np.uint64(27)
    mixed *= SECOND
    mixed ^= mixed >> np.uint64(31)
    return mixed


def field_salt(name: str) -> np.uint64:
    """A field's own 64-bit number, so that equal values of two fields fall apart."""
    return np.uint64(mmh3.hash64(name.encode(), signed=False)[0])


def hash_integers(values: np.ndarray, salt: np.uint64) -> np.ndarray:
    """uint64 [n] from integers [n]."""
    return mix64(values.astype(np.int64).view(np.uint64) ^ salt)


def hash_texts(values: np.ndarray, salt: np.uint64) -> np.ndarray:
    """uint64 [n] from texts [n]; each distinct text is hashed once."""
    # No array of texts is made: one has the longest text's room for each, and drops zero bytes at their ends.
    texts, seed = values.tolist(), int(salt) & 0xFFFFFFFF
    hashes = {text: mmh3.hash64(text.encode(), seed, signed=False)[0] for text in set(texts)}
    return np.fromiter(map(hashes.__getitem__, texts), dtype=np.uint64, count=len(texts))


def bucket(hashes: np.ndarray, buckets: int) -> np.ndarray:
    """int64 [n] in [0, buckets): the hash's upper 32 bits as a fraction of the buckets."""
    return ((hashes >> np.uint64(32)) * np.uint64(buckets) >> np.uint64(32)).astype(np.int64)


def normals(seed: int, first: int, n: int) -> np.ndarray:
    """Standard normal draws number `first` to first + n - 1 of a seed, float64 [n]: equal whoever draws them, and when.

    >>> bool(normals(1, 0, 8)[5] == normals(1, 5, 1)[0])
    True
    """
    numbers = np.arange(2 * first, 2 * (first + n), dtype=np.uint64).reshape(n, 2)
    key = mix64(np.array([seed], dtype=np.int64).view(np.uint64))
    uniform = ((mix64(mix64(numbers) ^ key) >> np.uint64(11)).astype(np.float64) + 0.5) / 2.0**53
    # The transform of Box and Muller.
    drawn: np.ndarray = np.sqrt(-2.0 * np.log(uniform[:, 0])) * np.cos(2.0 * np.pi * uniform[:, 1])
    return drawn
