"""Event time, in whole milliseconds since 1970, UTC: its units, and its grid."""

from __future__ import annotations

__all__ = ["DAY_MS", "HOUR_MS", "crosses"]

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


def crosses(previous_ms: int, watermark_ms: int, every_ms: int) -> bool:
    """Whether a multiple of `every_ms` (since 1970) lies in (previous_ms, watermark_ms].

    >>> crosses(5, 10, 10), crosses(10, 19, 10)
    (True, False)
    """
    return watermark_ms // every_ms > previous_ms // every_ms
