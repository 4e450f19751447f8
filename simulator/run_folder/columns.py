"""The columns of a run folder's tables: one place for whoever writes and whoever reads."""

from __future__ import annotations

__all__ = ["DAILY_COLUMNS", "MONITOR_COLUMNS"]

DAILY_COLUMNS = (
    "day",
    "phase",
    "arm",
    "users",
    "requests",
    "exposures",
    "clicks",
    "ctr",
    "auc",
    "logloss",
    "ne",
    "calibration",
    "model_versions",
    "progressive_auc",
    "progressive_logloss",
    "progressive_calibration",
    "random_exposures",
    "random_auc",
    "random_calibration",
)


# day: of the tick, from 0. time: days from the beginning to the end of the tick. The rest: `reloop_stream.updating.monitor.MonitorReading`.
MONITOR_COLUMNS = (
    "learner",
    "arm",
    "tick",
    "day",
    "time",
    "auc",
    "logloss",
    "calibration",
    "estimate",
    "alarm",
    "rate",
)
