"""Times of a data set: whole milliseconds, and a doubt where they lie in no year that a log of events has."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pyarrow as pa

from simulator.datasets.cells import numbers
from simulator.datasets.table import Table, is_text

__all__ = ["Clock"]

# A unit's milliseconds, as a fraction: whole times stay exact.
UNITS = {"s": (1000, 1), "ms": (1, 1), "us": (1, 1000), "ns": (1, 1_000_000)}
NAMES = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
LIMIT_MS = 2**62  # leaves room for windows that are added
INT64_MAX = 2**63 - 1


class Clock:
    """Reads a column of times, block by block.

    unit: of numbers; ISO text and typed times say their own. form: how texts are written, in strptime's signs. Parts of a
    millisecond are cut off, of decimal numbers rounded. A time without a zone is UTC. Times before `first_year`, or after
    next year, are doubtful.
    """

    def __init__(self, column: str, unit: str = "s", form: str | None = None, *, first_year: int = 2000) -> None:
        self.column = column
        self._unit = unit
        self._form = form
        self._first_year = first_year
        self._ends: tuple[float, float] | None = None  # of all times so far, in the unit that they were read as
        self._read_as = unit
        self._name = ""
        self._zoned: bool | None = None

    def times_ms(self, table: Table) -> np.ndarray:
        """int64. Raises DataError."""
        values, unit = self._values(table)
        up, down = UNITS[unit]
        limit = min(LIMIT_MS * down // up, INT64_MAX)
        too_far = (values > limit) | (values < -limit)
        if too_far.any():
            rows = np.flatnonzero(too_far)

            def said(row: int) -> str:
                likely = self._likely(float(values[row]), float(values[row]), unit)
                return f"holds {values[row]} in {{place}}, which is beyond all times in {NAMES[unit]}{likely}"

            raise table.bad_rows(self.column, rows, said)
        self._widen(table.name, float(values.min()), float(values.max()), unit)
        if values.dtype.kind == "i":
            return np.asarray(values * up // down)
        return np.rint(values * up / down).astype(np.int64)

    def _widen(self, name: str, low: float, high: float, unit: str) -> None:
        if self._ends is not None and unit != self._read_as:  # finer in this block: compare in its unit
            up, down = (a * b for a, b in zip(UNITS[self._read_as], UNITS[unit][::-1], strict=True))
            self._ends = (self._ends[0] * up / down, self._ends[1] * up / down)
        self._ends = (low, high) if self._ends is None else (min(low, self._ends[0]), max(high, self._ends[1]))
        self._read_as, self._name = unit, name

    @property
    def doubt(self) -> str:
        """What is doubtful about the times read so far, or ""."""
        if self._ends is None or self._plausible(*self._ends, self._read_as):
            return ""
        likely = self._likely(*self._ends, self._read_as) or "; is that right?"
        span = _span(*self._ends, self._read_as)
        return f"{self._name}: column {self.column!r}: as {NAMES[self._read_as]} its times go from {span}{likely}"

    def _values(self, table: Table) -> tuple[np.ndarray, str]:
        """The times as numbers of a unit."""
        name = self.column
        column = table.column(name)
        if pa.types.is_timestamp(column.type):
            return np.asarray(column.cast(pa.int64()).to_numpy()), column.type.unit
        if pa.types.is_date(column.type):
            return np.asarray(column.cast(pa.timestamp("s")).cast(pa.int64()).to_numpy()), "s"
        if self._form is not None:
            return self._formatted(table, column, self._form), "ms"
        if is_text(column) and (found := _from_iso(column)) is not None:
            values, unit, zoned = found
            if self._zoned not in (None, zoned):
                have = "none has a zone" if not self._zoned else "each has a zone"
                raise table.error(name, f"is no ISO time like those before it in {{place}}: {column[0]}; {have}", 0)
            self._zoned = zoned
            return values, unit
        if self._unit == "iso":
            row = _first_odd(column) if is_text(column) else 0
            raise table.error(name, f"is no ISO time in {{place}}: {column[row]}; write it as 2024-01-31T12:00:00", row)
        return numbers(table, name, f"data.time_unit: {self._unit} needs numbers (or set iso)"), self._unit

    def _formatted(self, table: Table, column: pa.ChunkedArray, form: str) -> np.ndarray:
        texts = column.cast(pa.string()).dictionary_encode().unify_dictionaries()
        different = texts.chunk(0).dictionary.to_pylist()
        index = np.concatenate([chunk.indices.to_numpy() for chunk in texts.chunks])
        times = pd.to_datetime(pd.Series(different, dtype=object), format=form, errors="coerce", utc=True)
        if (bad := times.isna().to_numpy()[index]).any():
            rows = np.flatnonzero(bad)
            raise table.bad_rows(
                self.column,
                rows,
                lambda row: (
                    f"holds {different[index[row]]!r} in {{place}}, which is not written as {form} (data.time_format)"
                ),
            )
        return np.asarray(times.dt.tz_localize(None).to_numpy().astype("datetime64[ms]").astype(np.int64)[index])

    def _likely(self, low: float, high: float, unit: str) -> str:
        for other in UNITS:
            if other != unit and self._plausible(low, high, other):
                return f"; they look like {NAMES[other]} ({_span(low, high, other)}): say data.time_unit: {other}"
        return ""

    def _plausible(self, low: float, high: float, unit: str) -> bool:
        """Whether all lie between the first year and the end of the next one."""
        up, down = UNITS[unit]
        first, end = (
            datetime(year, 1, 1, tzinfo=UTC).timestamp() * 1000
            for year in (self._first_year, datetime.now(UTC).year + 2)
        )
        return bool(first <= low * up / down and high * up / down < end)


def _from_iso(column: pa.ChunkedArray) -> tuple[np.ndarray, str, bool] | None:
    """ISO times as integers of a unit, and whether they have a zone; None where one is none, or only some have a zone."""
    if len(column) > 1 and _from_iso(column.slice(0, 1)) is None:  # numbers are not tried to their end
        return None
    for unit in ("ms", "us", "ns"):  # as fine as they are written: ns ends in the year 2262
        for zone in (None, "UTC"):
            try:
                values = column.cast(pa.timestamp(unit, zone)).cast(pa.int64()).to_numpy()
                return np.asarray(values), unit, zone is not None
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


def _span(low: float, high: float, unit: str) -> str:
    """First and last day, of any year."""
    up, down = UNITS[unit]
    first, last = (
        np.datetime_as_string(np.datetime64(max(-LIMIT_MS, min(LIMIT_MS, int(end) * up // down)), "ms"), unit="D")
        for end in (low, high)
    )
    return f"{first} to {last}"
