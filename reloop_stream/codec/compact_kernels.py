"""Compiled parts of `compact`: what a column holds, found in one pass that ends where the answer is known."""

from __future__ import annotations

import numpy as np

from reloop_stream.runtime.compiled import compiled

__all__ = ["are_made", "are_single", "bounds", "find_ends", "hold", "repeat"]

# Of a NaN in double precision: the bit that makes it a quiet one, and those that single precision has no room for.
QUIET = 1 << 51
LOST = (1 << 29) - 1


@compiled
def find_ends(column, ends):  # type: ignore[no-untyped-def]
    """Into ends: where the runs of equal numbers end. Returns how many they are, 0 where ends has no room for them."""
    n = 0
    for i in range(1, len(column)):
        if column[i] != column[i - 1]:
            if n + 1 >= len(ends):
                return 0
            ends[n] = i
            n += 1
    ends[n] = len(column)
    return n + 1


@compiled
def hold(bits, ends):  # type: ignore[no-untyped-def]
    """Whether the column changes between runs only."""
    begin = 0
    for end in ends:
        first = bits[begin]
        differ = first ^ first
        for i in range(begin + 1, end):
            differ |= bits[i] ^ first
        if differ != 0:
            return False
        begin = end
    return True


@compiled
def bounds(column):  # type: ignore[no-untyped-def]
    """The least and the largest number."""
    low, high = column[0], column[0]
    for number in column:
        low, high = min(low, number), max(high, number)
    return low, high


@compiled
def are_single(column, bits):  # type: ignore[no-untyped-def]
    """Whether single precision holds all these numbers of double precision bit for bit."""
    for i in range(len(column)):
        number = column[i]
        if np.isnan(number):
            if bits[i] & QUIET == 0 or bits[i] & LOST != 0:
                return False
        elif np.float64(np.float32(number)) != number:
            return False
    return True


@compiled
def are_made(request_id, position, exposure_id, factor):  # type: ignore[no-untyped-def]
    """Whether each exposure_id is factor · request_id + position, in 64 bits."""
    differ = 0
    for i in range(len(exposure_id)):
        differ |= (request_id[i] * factor + position[i]) ^ exposure_id[i]
    return differ == 0


@compiled
def repeat(values, ends, column):  # type: ignore[no-untyped-def]
    """Into column: each value up to its end. Returns whether the ends rise, and make up the column."""
    begin = 0
    for run in range(len(ends)):
        end, value = ends[run], values[run]
        if not begin < end <= len(column):
            return False
        for i in range(begin, end):
            column[i] = value
        begin = end
    return begin == len(column) and begin > 0
