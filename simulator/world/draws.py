"""Counter-based randomness: every draw is a pure function of (seed, purpose, keys), whatever the order of work.

So the same user meets the same luck in every arm, process and counterfactual run (common random numbers).
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np

__all__ = ["exponential", "gumbel", "normal", "uniform"]

# The finaliser of SplitMix64 (Steele, Lea, Flood 2014), once for each key.
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_SCALE = 2.0**-53  # a double holds 53 bits


@lru_cache(maxsize=1024)
def _stream(seed: int, purpose: str) -> np.uint64:
    return np.uint64(int.from_bytes(hashlib.sha256(f"{seed}/{purpose}".encode()).digest()[:8], "little"))


def _bits(seed: int, purpose: str, keys: tuple[np.ndarray | int, ...]) -> np.ndarray:
    state = np.asarray(_stream(seed, purpose))
    with np.errstate(over="ignore"):
        for key in keys:
            state = state ^ np.asarray(key).astype(np.int64).view(np.uint64)
            state = state + _GOLDEN
            state = (state ^ (state >> np.uint64(30))) * _FIRST
            state = (state ^ (state >> np.uint64(27))) * _SECOND
            state = state ^ (state >> np.uint64(31))
    return np.asarray(state)


def uniform(seed: int, purpose: str, *keys: np.ndarray | int) -> np.ndarray:
    """Uniform in (0, 1), of the keys' broadcast shape.

    >>> float(uniform(1, "example", 5)) == float(uniform(1, "example", np.array([4, 5]))[1])
    True
    """
    result: np.ndarray = ((_bits(seed, purpose, keys) >> np.uint64(11)).astype(np.float64) + 0.5) * _SCALE
    return result


def normal(seed: int, purpose: str, *keys: np.ndarray | int) -> np.ndarray:
    """Standard normal, by Box and Muller."""
    radius = np.sqrt(-2.0 * np.log(uniform(seed, purpose + "/radius", *keys)))
    result: np.ndarray = radius * np.cos(2.0 * np.pi * uniform(seed, purpose + "/angle", *keys))
    return result


def exponential(seed: int, purpose: str, *keys: np.ndarray | int) -> np.ndarray:
    """Exponential with mean 1."""
    result: np.ndarray = -np.log(uniform(seed, purpose, *keys))
    return result


def gumbel(seed: int, purpose: str, *keys: np.ndarray | int) -> np.ndarray:
    """Standard Gumbel."""
    result: np.ndarray = -np.log(exponential(seed, purpose, *keys))
    return result
