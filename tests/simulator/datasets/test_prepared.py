"""Rows as they are prepared: what an in-memory reading gives, in any order, however the file is cut into blocks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulator.datasets import text_file
from simulator.datasets.rows import ReplayRows
from tests.simulator.datasets.logged import read

Row = tuple[int, int, str, int]  # time in s, user, item, label
ROW = st.tuples(st.integers(1_700_000_000, 1_700_000_009), st.integers(1, 4), st.sampled_from("abc"), st.integers(0, 1))
# Slates of up to three rows. The first rows see to it that not all labels are the same.
SLATES = st.lists(st.lists(ROW, min_size=1, max_size=3), max_size=12).map(
    lambda slates: [[(1_700_000_005, 1, "a", 0)], [(1_700_000_005, 1, "a", 1)], *slates]
)
BLOCKS = st.integers(5, 400)
ORDERS = ["time", "file", "shuffled"]
SOME = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def frame_of(slates: Sequence[Sequence[Row]]) -> pd.DataFrame:
    """The log as a table; rows of a slate have its first row's time and user."""
    rows = [
        (slate[0][0], number, slate[0][1], item, label, place)
        for number, slate in enumerate(slates)
        for place, (_, _, item, label) in enumerate(slate)
    ]
    frame = pd.DataFrame(rows, columns=["at", "request", "who", "what", "bought", "place"])
    frame["note"] = np.arange(len(frame))  # tells rows apart
    return frame


def read_by(
    folder: Path, monkeypatch: pytest.MonkeyPatch, frame: pd.DataFrame, block: int, **changes: Any
) -> ReplayRows:
    frame.to_csv(folder / "log.csv", index=False)
    monkeypatch.setattr(text_file, "BLOCK_BYTES", block)
    table = {"user": "who", "item": "what", "label": {"column": "bought"}, "time": "at", "columns": ["note"]}
    return read({"format": "csv", "path": str(folder / "log.csv"), **table, **changes})


def as_frame(rows: ReplayRows) -> pd.DataFrame:
    """What was read, in the names of the table."""
    note = np.asarray(rows.features["note"])
    told = {"time_ms": rows.time_ms, "who": rows.user_id, "what": rows.item_id, "bought": rows.label, "note": note}
    return pd.DataFrame(told).astype({"bought": np.int64})


@pytest.mark.parametrize("order", ORDERS)
@SOME
@given(SLATES, BLOCKS)
def test_any_log_is_prepared_as_pandas_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: str, slates: list[list[Row]], block: int
) -> None:
    frame = frame_of(slates)
    found = as_frame(read_by(tmp_path, monkeypatch, frame, block, order=order))
    expected = pd.read_csv(tmp_path / "log.csv")
    if order == "time":
        expected = expected.sort_values(["at", "who", "what"], kind="stable")
        expected["time_ms"] = expected["at"] * 1000
    else:
        if order == "shuffled":
            expected = expected.set_index("note").loc[found["note"]].reset_index()  # each row is there once
            again = as_frame(read_by(tmp_path, monkeypatch, frame, block + 7, order=order))
            pd.testing.assert_frame_equal(found, again)
        expected["time_ms"] = np.arange(len(expected)) * 1000
    pd.testing.assert_frame_equal(found, expected[found.columns].reset_index(drop=True))


@pytest.mark.parametrize("order", ORDERS)
@SOME
@given(SLATES, BLOCKS)
def test_the_rows_of_a_slate_stay_together_in_their_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: str, slates: list[list[Row]], block: int
) -> None:
    frame = frame_of(slates)
    rows = read_by(tmp_path, monkeypatch, frame, block, order=order, request="request", position="place")
    found = as_frame(rows).assign(request=rows.request_id, place=rows.position)
    by_slate = found.groupby((found["request"] != found["request"].shift()).cumsum())
    assert by_slate.ngroups == frame["request"].nunique()
    for _, slate in by_slate:
        assert slate["place"].tolist() == [*range(len(slate))] and slate["time_ms"].nunique() == 1
        written = frame[frame["request"] == slate["request"].iloc[0]]
        assert slate["note"].tolist() == written["note"].tolist()
    if order == "file":
        assert found["note"].is_monotonic_increasing
    if order == "time":
        assert found["time_ms"].is_monotonic_increasing
    else:
        assert found["time_ms"].unique().tolist() == [n * 1000 for n in range(by_slate.ngroups)]


def test_another_seed_is_another_shuffle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = frame_of([[(1_700_000_000 + n, n % 5, "a", n % 2)] for n in range(60)])
    one, other = (
        as_frame(read_by(tmp_path, monkeypatch, frame, 1 << 20, order="shuffled", shuffle_seed=seed))["note"].tolist()
        for seed in (0, 1)
    )
    assert one != other != sorted(other) and sorted(one) == sorted(other) == [*range(60)]


WORDS = st.sampled_from(["1", "2", "30", "007", "-1", "x", "2.0", "NA", "9223372036854775808"])


@SOME
@given(st.lists(WORDS, min_size=2, max_size=12), BLOCKS)
def test_a_column_s_type_is_told_by_all_its_cells_wherever_blocks_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cells: list[str], block: int
) -> None:
    frame = pd.DataFrame({"at": 1_700_000_000, "who": cells, "what": "a", "bought": 0, "note": cells})
    frame.loc[0, "bought"] = 1

    def outcome(block: int) -> Any:
        try:
            rows = read_by(tmp_path, monkeypatch, frame, block, order="file")
        except ValueError as error:
            return str(error)
        return [(type(value), value) for value in (*rows.user_id.tolist(), *np.asarray(rows.features["note"]).tolist())]

    in_blocks, whole = outcome(block), outcome(1 << 20)
    # Of two mistakes in a column the one that is named may be the other, but never none.
    assert in_blocks == whole or (isinstance(in_blocks, str) and isinstance(whole, str) and "column 'who'" in in_blocks)
