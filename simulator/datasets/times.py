"""Times of a data set: whole milliseconds, and a doubt where they lie in no year that a log of events has."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from simulator.datasets.cells import Table, is_text, numbers

__all__ = ["times_ms"]

# A unit's milliseconds, as a fraction: whole times stay exact.
UNITS = {"s": (1000, 1), "ms": (1, 1), "us": (1, 1000), "ns": (1, 1_000_000)}
NAMES = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
LIMIT_MS = 2**62  # leaves room for windows that are added
INT64_MAX = 2**63 - 1


def times_ms(table: Table, name: str, unit: str, *, first_year: int = 2000) -> tuple[np.ndarray, str]:
    """int64, and what is doubtful about them, or "".

    unit: of numbers; ISO text and typed times say their own. Parts of a millisecond are cut off, of decimal numbers
    rounded. A time without a zone is UTC. Times before `first_year`, or after next year, are doubtful. Raises DataError.
    """
    values, unit = _values(table, name, unit)
    up, down = UNITS[unit]
    limit = min(LIMIT_MS * down // up, INT64_MAX)
    too_far = (values > limit) | (values < -limit)
    if too_far.any():
        row = int(np.argmax(too_far))
        likely = _likely(values[row : row + 1], unit, first_year)
        raise table.error(
            name, f"holds {values[row]} in {{place}}, which is beyond all times in {NAMES[unit]}{likely}", row
        )
    doubt = ""
    if not _plausible(values, unit, first_year):
        likely = _likely(values, unit, first_year) or "; is that right?"
        doubt = f"{table.name}: column {name!r}: as {NAMES[unit]} its times go from {_span(values, unit)}{likely}"
    if values.dtype.kind == "i":
        return np.asarray(values * up // down), doubt
    return np.rint(values * up / down).astype(np.int64), doubt


def _values(table: Table, name: str, unit: str) -> tuple[np.ndarray, str]:
    """The times as numbers of a unit."""
    column = table.column(name)
    if pa.types.is_timestamp(column.type):
        return np.asarray(column.cast(pa.int64()).to_numpy()), column.type.unit
    if pa.types.is_date(column.type):
        return np.asarray(column.cast(pa.timestamp("s")).cast(pa.int64()).to_numpy()), "s"
    if is_text(column) and (found := _from_iso(column)) is not None:
        return found
    if unit == "iso":
        row = _first_odd(column) if is_text(column) else 0
        raise table.error(name, f"is no ISO time in {{place}}: {column[row]}; write it as 2024-01-31T12:00:00", row)
    return numbers(table, name, f"data.time_unit: {unit} needs numbers (or set iso)"), unit


def _from_iso(column: pa.ChunkedArray) -> tuple[np.ndarray, str] | None:
    """ISO times as integers of a unit; None where one is none, or only some have a zone."""
    if len(column) > 1 and _from_iso(column.slice(0, 1)) is None:  # numbers are not tried to their end
        return None
    for unit in ("ms", "us", "ns"):  # as fine as they are written: ns ends in the year 2262
        for zone in (None, "UTC"):
            try:
                return np.asarray(column.cast(pa.timestamp(unit, zone)).cast(pa.int64()).to_numpy()), unit
            except pa.ArrowException:
                continue
    return None


def _first_odd(column: pa.ChunkedArray) -> int:
    """The first row that is no ISO time, or is not written like those before it."""
    good, stop = 0, len(column)  # so many rows can be read; so many cannot
    while stop - good > 1:
        middle = (good + stop) // 2
        good, stop = (good, middle) if _from_iso(column.slice(0, middle)) is None else (middle, stop)
    return good


def _likely(values: np.ndarray, unit: str, first_year: int) -> str:
    for other in UNITS:
        if other != unit and _plausible(values, other, first_year):
            remedy = "write them in microseconds" if other == "ns" else f"say data.time_unit: {other}"
            return f"; they look like {NAMES[other]} ({_span(values, other)}): {remedy}"
    return ""


def _plausible(values: np.ndarray, unit: str, first_year: int) -> bool:
    """Whether all lie between the first year and the end of the next one."""
    up, down = UNITS[unit]
    first, end = (
        datetime(year, 1, 1, tzinfo=UTC).timestamp() * 1000 for year in (first_year, datetime.now(UTC).year + 2)
    )
    return bool(first <= float(values.min()) * up / down and float(values.max()) * up / down < end)


def _span(values: np.ndarray, unit: str) -> str:
    """First and last day, of any year."""
    up, down = UNITS[unit]
    first, last = (
        np.datetime_as_string(np.datetime64(max(-LIMIT_MS, min(LIMIT_MS, int(end) * up // down)), "ms"), unit="D")
        for end in (values.min(), values.max())
    )
    return f"{first} to {last}"
