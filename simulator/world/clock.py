"""The simulated clock: milliseconds since 1970; day 0 is Monday, 1 January 2024, UTC."""

from __future__ import annotations

__all__ = ["DAY_MS", "EPOCH_MS", "HOUR_MS"]

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
EPOCH_MS = 1_704_067_200_000
