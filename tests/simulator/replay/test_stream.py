"""A data set laid out in time: ticks, days, phases."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from simulator.errors import DataError
from tests.simulator.datasets.logged import TABLE, N, log_of, write
from tests.simulator.replay.described import stream_of


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
