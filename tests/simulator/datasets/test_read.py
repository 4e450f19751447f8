"""Every format gives the same rows; bad data is an error that names the place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator.errors import DataError
from tests.simulator.datasets.logged import log_of, read, write


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "parquet", "libfm"])
def test_every_format_gives_the_same_rows_in_the_order_of_time(tmp_path: Path, kind: str) -> None:
    rows = read(write(tmp_path, kind))
    expected = log_of().sort_values("when")
    assert np.array_equal(rows.label, expected["bought"]) and np.array_equal(rows.user_id, expected["who"])
    assert (np.diff(rows.time_ms) > 0).all()
    items = rows.item_id if kind != "libfm" else [f"i{i}" for i in rows.item_id]
    assert list(items) == list(expected["what"])
    if kind != "libfm":
        assert np.asarray(rows.features["price"]).tolist() == expected["price"].tolist()


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no file": ({"path": "nowhere.csv"}, "data.path: nowhere.csv: no such file or folder"),
    "no column": ({"user": "nobody"}, "has no column 'nobody'; it has who, what, when, price, bought"),
    "text label": ({"label": {"column": "what", "at_least": 1}}, "column 'what' holds text, data.label.at_least"),
    "text time": ({"time": "what"}, "column 'what' holds text, data.time_unit: s needs numbers"),
    "no event": ({"path": "empty.csv"}, "holds no event"),
    "empty value": ({"path": "holes.csv"}, "column 'who' is empty in row 3 (line 4); every row must have a value"),
    "no csv": ({"path": "bytes.csv"}, "bytes.csv"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_data_is_an_error_that_names_the_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    data = write(tmp_path, "csv")
    log_of(0).to_csv("empty.csv", index=False)
    holes = log_of(9).astype({"who": "Int64"})
    holes.loc[2, "who"] = None
    holes.to_csv("holes.csv", index=False)
    Path("bytes.csv").write_bytes(bytes(range(256)))
    change, message = BAD[name]
    with pytest.raises(DataError) as caught:
        read({**data, **change})
    assert message in str(caught.value)


def test_rows_that_cannot_be_sorted_are_an_error_that_names_the_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simulator.datasets.prepared.SORT_MEMORY", "1KB")
    with pytest.raises(DataError, match=r"the rows cannot be sorted there: Out of Memory .*is there space for them"):
        read({**write(tmp_path, "csv"), "order": "shuffled"})
