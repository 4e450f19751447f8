"""Warnings that are said once, and then rarely: who runs a program for weeks reads neither silence nor a flood."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["Rarely"]

FIRST_WAIT_S = 600.0  # between the first time and the second; each further wait is twice as long


class Rarely:
    """Whether a kind of warning is due.

    clock: seconds.

    >>> now = 0.0
    >>> rarely = Rarely(lambda: now)
    >>> rarely.is_due("dead letters"), rarely.is_due("dead letters"), rarely.is_due("clocks")
    (True, False, True)
    >>> now = 601.0
    >>> rarely.is_due("dead letters"), rarely.is_due("dead letters")
    (True, False)
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next: dict[str, tuple[float, float]] = {}  # kind → when it is due again, and the wait after that

    def is_due(self, kind: str) -> bool:
        """True at most once a wait; whoever asks then says it."""
        now = self._clock()
        at, wait = self._next.get(kind, (now, FIRST_WAIT_S))
        if now < at:
            return False
        self._next[kind] = (now + wait, 2 * wait)
        return True
