"""What is said of a data set is what stands in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from simulator.datasets import describe as module
from simulator.datasets.describe import Description, FieldFacts, describe
from simulator.errors import DataError
from tests.simulator.datasets.logged import N, log_of
from tests.simulator.datasets.published import PUBLISHED


def field(found: Description, name: str) -> FieldFacts:
    return next(one for one in found.fields if one.name == name)


def described(folder: Path, frame: pd.DataFrame, **writing: Any) -> Description:
    frame.to_csv(folder / "log.csv", index=False, **writing)
    return describe(str(folder / "log.csv"))


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_table_is_told_as_pandas_tells_it(tmp_path: Path, kind: str) -> None:
    frame = log_of()
    path = tmp_path / f"log.{kind}"
    _ = frame.to_csv(path, index=False) if kind == "csv" else frame.to_parquet(path)
    found = describe(str(path))
    roles = {"time": "when", "label": {"column": "bought"}, "user": "who", "item": "what", "columns": ["price"]}
    assert found.data == {"format": kind, "path": str(path), **roles}
    assert (found.rows, found.clicks, found.is_whole) == (N, frame["bought"].sum(), True)
    assert found.span == (frame["when"].min() * 1000, frame["when"].max() * 1000) and not found.is_in_order
    assert found.days == pd.to_datetime(frame["when"], unit="s").dt.date.nunique() and found.most_at_once == 1
    names = {"user_id": "who", "item_id": "what", "price": "price"}
    assert [one.name for one in found.fields] == [*names]
    for one in found.fields:
        column = frame[names[one.name]]
        assert one.distinct == column.nunique() and one.missing == 0
        assert one.examples == [f"{value}" for value in column.unique()[:3]]
        if one.kind != "text":
            assert (one.least, one.most) == (column.min(), column.max())
    assert [one.kind for one in found.fields] == ["integer", "text", "number"]


def test_gaps_are_counted_and_get_a_value_that_is_said(tmp_path: Path) -> None:
    frame = log_of().assign(age=np.arange(N) % 50 + 0.5, group=np.arange(N) % 7, town="x")
    frame = frame.astype({"group": "Int64"})
    frame.loc[: N // 10 - 1, ["age", "group", "town"]] = None
    frame["what"] = frame["what"].where(frame["what"] != "i3")
    found = described(tmp_path, frame)
    shares = {one.name: one.missing for one in found.fields}
    no_item = frame["what"].isna().mean()
    assert shares == {"user_id": 0, "item_id": no_item, "price": 0, "age": 0.1, "group": 0.1, "town": 0.1}
    assert (
        field(found, "age").least == 0 and field(found, "group").kind == "text" and field(found, "town").distinct == 2
    )
    assert "'age' is 0 where it is missing" in found.guesses


def test_a_word_for_nothing_among_numbers_is_a_gap(tmp_path: Path) -> None:
    frame = log_of().astype({"price": object})
    frame.loc[5, "price"] = "NA"
    found = described(tmp_path, frame)
    assert field(found, "price").kind == "number" and field(found, "price").missing == 1 / N
    assert found.data["columns"] == [{"column": "price", "type": "number", "missing": 0}]


IDS = {
    "007 stays": (["007", "12"], "text", ["007", "12"]),
    "12.0 is 12": (["12.0", "7.0"], "integer", ["12", "7"]),
    "digits and a word": (["12", "x"], "text", ["12", "x"]),
    "digits": (["12", "7"], "integer", ["12", "7"]),
}


@pytest.mark.parametrize("name", IDS)
def test_an_id_is_told_as_the_reader_takes_it(tmp_path: Path, name: str) -> None:
    cells, kind, examples = IDS[name]
    found = described(tmp_path, log_of().assign(who=np.resize(cells, N)))
    assert field(found, "user_id").kind == kind and field(found, "user_id").examples == examples


AT = pd.to_datetime(1_700_000_000, unit="s") + pd.to_timedelta(np.arange(N) * 600, unit="s")
CLOCKS: dict[str, tuple[Any, dict[str, str]]] = {
    "s": (AT.astype("datetime64[s]").astype(np.int64), {}),
    "ms": (AT.astype("datetime64[ms]").astype(np.int64), {"time_unit": "ms"}),
    "us": (AT.astype("datetime64[us]").astype(np.int64), {"time_unit": "us"}),
    "ns": (AT.astype("datetime64[ns]").astype(np.int64), {"time_unit": "ns"}),
    "iso": (AT.strftime("%Y-%m-%dT%H:%M:%S"), {"time_unit": "iso"}),
    "zoned": (AT.strftime("%Y-%m-%d %H:%M:%S+00:00"), {"time_unit": "iso"}),
    "hours": (AT.strftime("%y%m%d%H"), {"time_format": "%y%m%d%H"}),
    "days": (AT.strftime("%Y%m%d"), {"time_format": "%Y%m%d"}),
    "american": (AT.strftime("%m/%d/%Y %I:%M:%S %p"), {"time_format": "%m/%d/%Y %I:%M:%S %p"}),
}


@pytest.mark.parametrize("name", CLOCKS)
def test_the_clock_is_told_by_its_times(tmp_path: Path, name: str) -> None:
    times, expected = CLOCKS[name]
    found = described(tmp_path, log_of().assign(when=times))
    assert {key: found.data[key] for key in ("time_unit", "time_format") if key in found.data} == expected
    assert found.data["time"] == "when" and found.days == AT.normalize().nunique() and found.is_in_order
    assert not found.doubt


LABELS: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "0 and 1": ([0, 1], {}),
    "−1 and 1": ([-1, 1], {}),
    "truth values": (["true", "false"], {}),
    "words": (["yes", "no"], {"equals": "yes"}),
    "actions": (["view", "click", "cart"], {"equals": "click"}),
    "counts": ([0, 3, 1], {"at_least": 1.0}),
}


@pytest.mark.parametrize("name", LABELS)
def test_which_rows_are_clicks_is_told_by_the_label_s_values(tmp_path: Path, name: str) -> None:
    values, rule = LABELS[name]
    found = described(tmp_path, log_of().drop(columns="bought").assign(click=np.resize(values, N)))
    assert found.data["label"] == {"column": "click", **rule} and 0 < found.clicks < N


def test_ratings_of_five_are_clicks_from_four_on(tmp_path: Path) -> None:
    found = described(tmp_path, log_of().drop(columns="bought").assign(rating=np.arange(N) % 5 + 1))
    assert found.data["label"] == {"column": "rating", "at_least": 4.0} and found.clicks == 2 * N // 5


def test_lists_slates_and_propensities_are_seen(tmp_path: Path) -> None:
    frame = log_of().assign(
        tags=np.resize(["a|b", "", "c"], N), request_id=np.arange(N) // 3, position=np.arange(N) % 3
    )
    frame = frame.assign(propensity_score=0.25, sample_weight=1.5, when=1_700_000_000 + np.arange(N) // 3)
    found = described(tmp_path, frame)
    said = {key: found.data[key] for key in ("request", "position", "propensity", "weight")}
    assert said == {
        "request": "request_id",
        "position": "position",
        "propensity": "propensity_score",
        "weight": "sample_weight",
    }
    assert found.requests == N // 3 and found.most_at_once == 3
    tags = field(found, "tags")
    assert (tags.kind, tags.distinct, tags.missing) == ("list of text", 3, 1 / 3)


def test_columns_without_a_known_name_are_told_by_their_values(tmp_path: Path) -> None:
    frame = log_of().rename(columns={"who": "a", "what": "b", "bought": "c", "when": "d", "price": "e"})
    frame["d"] = pd.to_datetime(frame["d"], unit="s").dt.strftime("%Y-%m-%d %H:%M:%S")
    found = described(tmp_path, frame)
    assert (found.data["user"], found.data["item"], found.data["time"]) == ("a", "b", "d")
    assert (
        found.data["label"] == {"column": "c"} and found.guesses[0] == "'d' is taken for the time, by its values alone"
    )


def test_the_first_rows_alone_may_be_looked_at(tmp_path: Path) -> None:
    log_of().to_csv(tmp_path / "log.csv", index=False)
    found = describe(str(tmp_path / "log.csv"), 100)
    assert (found.rows, found.is_whole, found.clicks) == (100, False, log_of()["bought"][:100].sum())
    heard: list[int] = []
    describe(str(tmp_path / "log.csv"), told=heard.append)
    assert heard == [N]


def test_of_very_many_rows_distinct_values_are_estimated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EXACT_ROWS", 100)
    found = described(tmp_path, log_of())
    assert not found.is_exact and field(found, "user_id").distinct == pytest.approx(39, rel=0.1)


def test_gaps_of_a_published_set_are_those_that_its_reader_fills(tmp_path: Path) -> None:
    found = describe(PUBLISHED["criteo"](tmp_path)["path"])
    assert field(found, "I3").missing == 0.5 and field(found, "C26").missing == 0.5 and field(found, "I4").missing == 0
    assert not found.has_users and found.span is None


def test_nested_lists_of_parquet_are_lists(tmp_path: Path) -> None:
    table = pa.table(
        {"click": [0, 1], "user": [1, 2], "tags": [[1, 2], []], "when": pa.array([0, 1], pa.timestamp("s"))}
    )
    pq.write_table(table, tmp_path / "log.parquet")
    tags = field(describe(str(tmp_path / "log.parquet")), "tags")
    assert tags == FieldFacts("tags", "list of integer", ["1|2"], 2, 0.5, 1, 2)


def test_a_letter_of_latin_1_far_below_is_met(tmp_path: Path) -> None:
    frame = log_of().assign(town=["x"] * (N - 1) + ["é"])
    found = described(tmp_path, frame, encoding="latin-1")
    assert found.data["encoding"] == "latin-1" and field(found, "town").distinct == 2


def test_a_table_in_which_nothing_is_a_label_says_so(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"no column looks like a label .*it has who, what, when, price: describe it by"
    ):
        described(tmp_path, log_of().drop(columns="bought"))
