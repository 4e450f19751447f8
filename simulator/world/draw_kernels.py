"""`draws.uniform` compiled: the last key is mixed in and turned into a number in one pass, without arrays between the steps."""

from __future__ import annotations

import numpy as np

from reloop_stream.runtime.compiled import compiled

__all__ = ["uniform_in_rows"]


@compiled
def uniform_in_rows(state, key, out):  # type: ignore[no-untyped-def]
    """Into out, float64 [n, m], the numbers of states uint64 [n] with a last key int64 [n, m] (or [1, m] for all)."""
    n, m = out.shape
    shared = key.shape[0] == 1
    for i in range(n):
        before = state[i]
        of_row = key[0] if shared else key[i]
        for j in range(m):
            mixed = (before ^ np.uint64(of_row[j])) + np.uint64(0x9E3779B97F4A7C15)
            mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            mixed ^= mixed >> np.uint64(31)
            # Below 2^53 a signed number is the same, and turns into a float in one instruction.
            out[i, j] = (np.float64(np.int64(mixed >> np.uint64(11))) + 0.5) * 2.0**-53
