"""Which arm a user is in: a sticky hash of the user, the experiment and the salt."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

__all__ = ["Assignment", "hash_to_unit"]

# PlanOut's rule: the first 15 hex digits of a SHA-1, as a fraction of the largest such number.
HASH_DIGITS = 15
HASH_MAX = 16**HASH_DIGITS - 1


def hash_to_unit(text: str) -> float:
    """A number in [0, 1] from a text, by PlanOut's rule.

    >>> hash_to_unit("newsfeed.1.42") == hash_to_unit("newsfeed.1.42")
    True
    """
    return _units("", [text])[0]


def _units(prefix: str, names: Sequence[int | str]) -> list[float]:
    """`hash_to_unit` of each name behind the prefix."""
    sha1, start = hashlib.sha1, prefix.encode()
    digests = [sha1(start + str(name).encode(), usedforsecurity=False).digest() for name in names]
    # Eight bytes are 16 digits, one too many. Python divides integers of any size exactly rounded, which numpy does not.
    return [(int.from_bytes(digest[:8]) >> 4) / HASH_MAX for digest in digests]


class Assignment:
    """Sticky assignment of users to arms: a function of the user, the experiment's name and the salt, and nothing else.

    Also splits users into `co_diverted` parts, by a second and independent hash.
    """

    def __init__(self, experiment: str, salt: str, shares: Sequence[float]) -> None:
        self._prefix = f"{experiment}.{salt}."
        self._ends = np.cumsum(shares)
        self._ends[-1] = 1.0  # shares written as decimals may add up to 0.9999999999999999
        self._arms: dict[int | str, int] = {}
        self._parts: dict[int | str, int] = {}

    def arms(self, users: np.ndarray) -> np.ndarray:
        """The arm's index of each user, int32 [n]."""
        return self._look_up(users, self._arms, self._prefix, self._ends)

    def parts(self, users: np.ndarray) -> np.ndarray:
        """The co-diverted part of each user: as many equal parts as there are arms, independent of the arms."""
        equal = np.arange(1, len(self._ends) + 1) / len(self._ends)
        return self._look_up(users, self._parts, f"{self._prefix}part.", equal)

    def _look_up(self, users: np.ndarray, known: dict[int | str, int], prefix: str, ends: np.ndarray) -> np.ndarray:
        unique, inverse = np.unique(users, return_inverse=True)
        values = unique.tolist()
        fresh = [user for user in values if user not in known]
        if fresh:
            known |= zip(fresh, np.searchsorted(ends, _units(prefix, fresh), side="left").tolist(), strict=True)
        return np.array([known[user] for user in values], dtype=np.int32)[inverse]
