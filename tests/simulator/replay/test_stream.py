"""A data set laid out in time: ticks, days, phases."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from simulator.errors import DataError
from tests.simulator.datasets.logged import TABLE, N, log_of, write
from tests.simulator.replay.described import stream_of


def test_users_that_nobody_tells_apart_cannot_be_split(tmp_path: Path) -> None:
    data = {**write(tmp_path, "csv"), "user": None}
    with pytest.raises(DataError, match=r"experiment.design: split: .*log.csv tells no user from another"):
        stream_of(data, experiment={"design": "split"})
    assert stream_of(data).rows == N


def test_ticks_and_days_cut_the_rows_once_and_keep_equal_times_together(tmp_path: Path) -> None:
    frame = log_of()
    frame["when"] = frame["when"] // 6000 * 6000  # ten rows at a time
    frame.to_csv(tmp_path / "log.csv", index=False)
    stream = stream_of({"format": "csv", "path": str(tmp_path / "log.csv"), **TABLE, "tick_events": 45})
    seen = []
    last = -1
    for tick in range(stream.calendar.serving_ticks):
        first, rows = stream.tick(tick)
        assert rows.time_ms[0] > last
        last = rows.time_ms[-1]
        seen.append((first, len(rows)))
    assert [first for first, _ in seen] == np.cumsum([0, *(n for _, n in seen)])[:-1].tolist()
    assert sum(n for _, n in seen) == N and stream.calendar.days == 4


def test_too_few_days_for_the_phases_is_an_error(tmp_path: Path) -> None:
    message = r"has 2 days \(data.period_events: 300\), the phases need 4"
    with pytest.raises(DataError, match=message):
        stream_of({**write(tmp_path, "csv"), "period_events": 300})


def test_a_feature_that_the_data_do_not_offer_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="features: colour: the data set does not offer it; it offers user_id"):
        stream_of(write(tmp_path, "csv"), features=[{"name": "colour"}])


@pytest.mark.parametrize(
    "field, message",
    [
        (
            {"name": "item_id", "kind": "number"},
            "features: item_id: kind: number needs numbers, the data set has texts",
        ),
        ({"name": "item_id", "mode": "exact"}, "features: item_id: mode: exact needs numbers, the data set has texts"),
        ({"name": "user_id", "kind": "list"}, "features: user_id: is a list, the data set has single values there"),
        ({"name": "price", "kind": "category"}, r"column 'price' holds numbers \(.* in row 1 .*say kind: number"),
    ],
)
def test_a_feature_that_a_model_cannot_take_is_refused_before_a_run(
    tmp_path: Path, field: dict[str, str], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        stream_of(write(tmp_path, "csv"), features=[field])


def test_rows_of_a_number_field_are_numbers_however_they_are_written(tmp_path: Path) -> None:
    frame = log_of().astype({"price": str})
    frame.loc[5, "price"] = "007"
    frame.to_csv(tmp_path / "log.csv", index=False)
    data = {"format": "csv", "path": str(tmp_path / "log.csv"), **TABLE}
    _, rows = stream_of(data, features=[{"name": "price", "kind": "number"}]).tick(0)
    assert np.asarray(rows.features["price"]).dtype == np.float64
    frame.loc[5, "price"] = "0,5"
    frame.to_csv(tmp_path / "log.csv", index=False)
    with pytest.raises(
        DataError, match=r"column 'price' holds text, .*'0,5' in row 6 \(line 7\); write decimals with a"
    ):
        stream_of(data, features=[{"name": "price", "kind": "number"}])


def test_times_of_the_wrong_unit_warn_and_are_refused_where_rows_fall_away_by_them(tmp_path: Path) -> None:
    frame = log_of()
    frame["when"] *= 1000
    frame.to_csv(tmp_path / "log.csv", index=False)
    data = {"format": "csv", "path": str(tmp_path / "log.csv"), **TABLE}
    (warning,) = stream_of(data).warnings
    assert "they look like milliseconds" in warning and "say data.time_unit: ms" in warning
    with pytest.raises(DataError, match=r"look like milliseconds.*the 4 days of the phases hold 4 of 600 rows"):
        stream_of({**data, "period_events": None})
    assert stream_of({**data, "time_unit": "ms"}).warnings == []
    with pytest.raises(DataError, match=r"has 1 days .*\n.*they look like seconds"):
        stream_of({**write(tmp_path, "csv"), "time_unit": "ms", "period_events": None})
