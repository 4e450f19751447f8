"""Times: exact milliseconds, and a doubt that names the likely unit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from simulator.datasets.rows import ReplayRows
from simulator.errors import DataError
from tests.simulator.datasets.logged import TABLE, facts_of
from tests.simulator.datasets.test_tables import AT, from_csv, from_parquet, two


def at(folder: Path, first: Any, second: Any, unit: str) -> ReplayRows:
    return from_csv(folder, two(when=(first, second)), time_unit=unit)


def doubt(folder: Path, unit: str) -> str:
    """Of the file that `at` wrote."""
    data = {"format": "csv", "path": str(folder / "log.csv"), **TABLE, "time_unit": unit}
    return facts_of(data, folder).doubt


@pytest.mark.parametrize(
    "first, second, unit, expected",
    [
        (AT, AT + 1, "s", [AT * 1000, AT * 1000 + 1000]),
        ("1700000000.123", "1700000000.9996", "s", [1700000000123, 1700000001000]),
        (1700000000123, 1700000000124, "ms", [1700000000123, 1700000000124]),
        (1700000000123999, 1700000000124000, "us", [1700000000123, 1700000000124]),
        ("2023-11-14T22:13:20", "2023-11-14 22:13:20.5", "iso", [AT * 1000, AT * 1000 + 500]),
        ("2023-11-14T22:13:20Z", "2023-11-15T00:13:20.123456+02:00", "iso", [AT * 1000, AT * 1000 + 123]),
        ("2023-11-14", "2023-11-15", "s", [1699920000000, 1700006400000]),
    ],
)
def test_times_are_exact_in_every_unit(tmp_path: Path, first: Any, second: Any, unit: str, expected: list[int]) -> None:
    assert at(tmp_path, first, second, unit).time_ms.tolist() == expected and doubt(tmp_path, unit) == ""


@pytest.mark.parametrize(
    "kind", [pa.timestamp("us"), pa.timestamp("ns", "Europe/Berlin"), pa.timestamp("ms"), pa.date32()]
)
def test_typed_times_say_their_unit(tmp_path: Path, kind: Any) -> None:
    days = pa.array([19_000, 19_001], pa.int32()).cast(pa.date32())
    rows = from_parquet(tmp_path, {"when": days.cast(pa.timestamp("us")).cast(kind)}, time_unit="ms")
    assert rows.time_ms.tolist() == [19_000 * 86_400_000, 19_001 * 86_400_000]


@pytest.mark.parametrize(
    "factor, unit, message",
    [
        (
            1000,
            "s",
            "as seconds its times go from 55840-11-08 to 55840-11-08; they look like milliseconds (2023-11-14 to",
        ),
        (10**6, "s", "they look like microseconds (2023-11-14 to 2023-11-14): say data.time_unit: us"),
        (1, "ms", "as milliseconds its times go from 1970-01-20 to 1970-01-20; they look like seconds"),
        (10**9, "us", "they look like nanoseconds (2023-11-14 to 2023-11-14): say data.time_unit: ns"),
        (0, "s", "as seconds its times go from 1970-01-01 to 1970-01-01; is that right?"),
        (-1, "s", "as seconds its times go from 1916-02-18 to 1916-02-18; is that right?"),
    ],
)
def test_times_of_no_likely_year_are_doubted(tmp_path: Path, factor: int, unit: str, message: str) -> None:
    at(tmp_path, AT * factor, (AT + 1) * factor, unit)
    assert message in doubt(tmp_path, unit)


def test_times_that_no_millisecond_reaches_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="beyond all times in seconds; they look like nanoseconds"):
        at(tmp_path, AT, AT * 10**9, "s")
    with pytest.raises(DataError, match=r"holds 1e\+300 in row 2 \(line 3\), which is beyond all times"):
        at(tmp_path, AT, "1e300", "s")


def test_the_first_time_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is no ISO time in row 2 \(line 3\): 2023-02-30"):
        at(tmp_path, "2023-02-28", "2023-02-30", "iso")
    with pytest.raises(DataError, match=r"is no ISO time in row 2 \(line 3\): 2023-02-28T00:00:00Z"):
        at(tmp_path, "2023-02-28", "2023-02-28T00:00:00Z", "iso")  # one with a zone among those without
