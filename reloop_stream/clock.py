"""Event time, in whole milliseconds since 1970, UTC: its units, its grid, and how it is shown."""

from __future__ import annotations

import time
from datetime import UTC, datetime

__all__ = ["DAY_MS", "HOUR_MS", "crosses", "doubt_of", "shown"]

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
YEAR_MS = 366 * DAY_MS
YEAR_2000_MS = 946_684_800_000
# What one of the unit is in milliseconds.
UNITS = {"seconds": 1000.0, "microseconds": 1e-3, "nanoseconds": 1e-6}


def crosses(previous_ms: int, watermark_ms: int, every_ms: int) -> bool:
    """Whether a multiple of `every_ms` (since 1970) lies in (previous_ms, watermark_ms].

    >>> crosses(5, 10, 10), crosses(10, 19, 10)
    (True, False)
    """
    return watermark_ms // every_ms > previous_ms // every_ms


def shown(at_ms: int) -> str:
    """A moment for people: date and time, UTC, or the number alone where no calendar has it.

    >>> shown(1_700_000_000_000), shown(1_700_000_000_000_000)
    ('2023-11-14 22:13:20', '1,700,000,000,000,000 ms')
    """
    try:
        return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):  # which of them depends on the machine's C library
        return f"{at_ms:,} ms"


def doubt_of(at_ms: int, now_ms: float | None = None) -> str | None:
    """What makes one doubt a time of real events: that it lies before 2000 or after next year; None for any other.

    now_ms: the clock on the wall.

    >>> doubt_of(1_700_000_000, now_ms=1_750_000_000_000)
    '1,700,000,000 ms lies before the year 2000; as seconds it would be 2023-11-14 22:13:20'
    """
    latest_ms = (time.time() * 1000 if now_ms is None else now_ms) + YEAR_MS
    if YEAR_2000_MS <= at_ms <= latest_ms:
        return None
    likely = [unit for unit, of_ms in UNITS.items() if YEAR_2000_MS <= at_ms * of_ms <= latest_ms]
    side = "before the year 2000" if at_ms < YEAR_2000_MS else "more than a year ahead"
    hint = f"; as {likely[0]} it would be {shown(round(at_ms * UNITS[likely[0]]))}" if likely else ""
    return f"{at_ms:,} ms lies {side}{hint}"
