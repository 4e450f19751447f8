"""`draws.uniform` compiled: the last key is mixed in and turned into a number in one pass, without arrays between the steps."""

from __future__ import annotations

import numpy as np

from reloop_stream.runtime.compiled import compiled

__all__ = ["find_above", "mix_in", "uniform_in_rows"]


@compiled
def _mixed(state, key):  # type: ignore[no-untyped-def]
    state = (state ^ np.uint64(key)) + np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


@compiled
def _number(state):  # type: ignore[no-untyped-def]
    # Below 2^53 a signed number is the same, and turns into a float in one instruction.
    return (np.float64(np.int64(state >> np.uint64(11))) + 0.5) * 2.0**-53


@compiled
def mix_in(state, key):  # type: ignore[no-untyped-def]
    """Mix into states, uint64 [n], a key, int64 [n] (or [1] for all)."""
    shared = len(key) == 1
    for i in range(len(state)):
        state[i] = _mixed(state[i], key[0] if shared else key[i])


@compiled
def uniform_in_rows(state, key, out):  # type: ignore[no-untyped-def]
    """Into out, float64 [n, m], the numbers of states uint64 [n] with a last key int64 [n, m] (or [1, m] for all)."""
    n, m = out.shape
    shared = key.shape[0] == 1
    for i in range(n):
        before = state[i]
        of_row = key[0] if shared else key[i]
        for j in range(m):
            out[i, j] = _number(_mixed(before, of_row[j]))


@compiled
def find_above(state, chosen, last, least, found, numbers):  # type: ignore[no-untyped-def]
    """Into found and numbers: those chosen, bool [n], whose number of the keys (itself, last) is above its least, and
    that number. Returns how many."""
    n = 0
    for i in range(len(chosen)):
        if chosen[i]:
            number = _number(_mixed(_mixed(state, i), last))
            if number > least[i]:
                found[n], numbers[n] = i, number
                n += 1
    return n
