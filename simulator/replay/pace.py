"""When an event of the past is due: at once, or as its clock ran, so many times as fast."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["Pace"]

LONGEST_SLEEP_S = 0.2  # so that a wait hears a stop


class Pace:
    """Real time times `speed`; without it, as fast as possible.

    The clock starts with the first event asked for. A replay that falls behind does not hurry: later events move with it,
    so that a pause is no flood after it.

    >>> pace = Pace(None)
    >>> pace.wait(0), pace.wait(10**12)
    (True, True)
    """

    def __init__(
        self,
        speed: float | None,
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._speed = speed
        self._now = now
        self._sleep = sleep
        self._last_ms: int | None = None
        self._due = 0.0  # of the last event, by `now`

    def wait(self, time_ms: int, should_stop: Callable[[], bool] = lambda: False) -> bool:
        """Return when an event of this time is due: True, or False where a stop was asked for before."""
        if self._speed is None:
            return not should_stop()
        now = self._now()
        if self._last_ms is None:
            self._due = now
        else:
            self._due = max(self._due + (time_ms - self._last_ms) / 1000 / self._speed, self._due)
        self._last_ms = time_ms
        while (left := self._due - self._now()) > 0:
            if should_stop():
                return False
            self._sleep(min(left, LONGEST_SLEEP_S))
        self._due = max(self._due, now)
        return not should_stop()
