"""Counter-based randomness: every draw is a pure function of (seed, purpose, keys), whatever the order of work.

So the same user meets the same luck in every arm, process and counterfactual run (common random numbers).
"""

from __future__ import annotations

import hashlib
import math
from functools import lru_cache

import numpy as np

__all__ = ["exponential", "find_above", "gumbel", "normal", "uniform"]

# The finaliser of SplitMix64 (Steele, Lea, Flood 2014), once for each key.
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_SCALE = 2.0**-53  # a double holds 53 bits
MANY = 64  # keys from which a compiled loop is quicker than numpy's


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
    if any(isinstance(key, np.ndarray) and key.size >= MANY for key in keys):
        return _many(seed, purpose, keys)
    result: np.ndarray = ((_bits(seed, purpose, keys) >> np.uint64(11)).astype(np.float64) + 0.5) * _SCALE
    return result


def _shaped(key: np.ndarray | int, shape: tuple[int, ...]) -> np.ndarray:
    """The key as int64 of this shape, in one piece. What may only be read would be compiled for apart, so it is no view of another shape."""
    found = np.asarray(key, dtype=np.int64)
    return np.ascontiguousarray(found if found.shape == shape else np.broadcast_to(found, shape))


def _states(seed: int, purpose: str, keys: tuple[np.ndarray | int, ...], shape: tuple[int, ...]) -> np.ndarray:
    """`_bits` of a shape that the keys have together, in one row: each is mixed in by one compiled pass."""
    from simulator.world import draw_kernels

    state = np.full(math.prod(shape), _stream(seed, purpose))
    for key in keys:
        of_all = np.size(key) == 1
        draw_kernels.mix_in(state, _shaped(key, (1,) * len(shape) if of_all else shape).reshape(-1))
    return state


def _many(seed: int, purpose: str, keys: tuple[np.ndarray | int, ...]) -> np.ndarray:
    """The same compiled, in rows: the last key along one axis, those before it mixed once for each of the others."""
    from simulator.world.draw_kernels import (
        uniform_in_rows,  # brings numba, which processes that draw nothing do without
    )

    *before, last = keys
    shape = np.broadcast_shapes(*(np.shape(key) for key in keys))
    m = shape[-1]
    of_rows = all(np.shape(key)[-1:] in ((), (1,)) for key in before)
    last = np.asarray(last, dtype=np.int64)
    if of_rows and len(shape) == 2:  # each row one state
        state = _states(seed, purpose, tuple(before), (shape[0], 1))
        key = _shaped(last, (len(last) if last.ndim == 2 else 1, m))
    elif of_rows and len(shape) == 1:  # one state for all
        state = _states(seed, purpose, tuple(before), (1,))
        key = _shaped(last, shape).reshape(1, m)
    else:
        state = _states(seed, purpose, tuple(before), shape)
        key = _shaped(last, shape).reshape(-1, 1)
    out = np.empty((len(state), key.shape[1]))
    uniform_in_rows(state, key, out)
    return out.reshape(shape)


def find_above(
    seed: int, purpose: str, chosen: np.ndarray, last: int, least: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Those numbers i, int64, of the chosen ones, bool [n], whose draw uniform(seed, purpose, i, last) is above least[i], and the draws."""
    from simulator.world import draw_kernels

    found, draws = np.empty(len(chosen), dtype=np.int64), np.empty(len(chosen))
    n = draw_kernels.find_above(_stream(seed, purpose), chosen, last, least, found, draws)
    return found[:n], draws[:n]


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
