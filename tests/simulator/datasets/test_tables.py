"""Tables: what a cell says is what the stream gets, or an error that names file and row."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from reloop_stream.events import ListColumn
from simulator.datasets.rows import ReplayRows
from simulator.errors import DataError
from tests.simulator.datasets.logged import TABLE, read

NAMES = ["who", "what", "when", "price", "bought"]
AT = 1_700_000_000


def from_csv(folder: Path, rows: list[tuple[Any, ...]], **changes: Any) -> ReplayRows:
    with open(folder / "log.csv", "w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([NAMES, *rows])
    return read({"format": "csv", "path": str(folder / "log.csv"), **TABLE, **changes})


def from_parquet(folder: Path, columns: dict[str, Any], **changes: Any) -> ReplayRows:
    usual = {"who": [1, 2], "what": ["a", "b"], "when": [AT, AT + 1], "price": [1.5, 2.0], "bought": [1, 0]}
    pq.write_table(pa.table(usual | columns), folder / "log.parquet")
    return read({"format": "parquet", "path": str(folder / "log.parquet"), **TABLE, **changes})


def two(**cells: tuple[Any, Any]) -> list[tuple[Any, ...]]:
    """Two rows of which some cells are these."""
    usual = {"who": (1, 2), "what": ("a", "b"), "when": (AT, AT + 1), "price": (1.5, 2), "bought": (1, 0)}
    return list(zip(*(usual | cells).values(), strict=True))


WORDS = [
    "007",
    "7",
    "12.0",
    "12",
    "-0",
    "+5",
    "1e39",
    "1e400",
    "inf",
    "nan",
    "NA",
    "",
    " 7",
    "0x1f",
    "x",
    "é",
    '"',
    "a,b",
]
BIG = ["9223372036854775807", "9223372036854775808", "-9223372036854775808", "1" * 5000, "x\ny", "x\ry", "\0"]
CELL = st.sampled_from(WORDS + BIG) | st.integers(-5, 5).map(str) | st.floats().map(str) | st.text(max_size=3)
# Of each column: what is clean, and what is not always. A table is clean but for a column or two.
CELLS = {
    "who": (st.sampled_from(["1", "2"]), CELL),
    "what": (st.sampled_from(["a", "b"]), st.sampled_from(["007", "7", "1.5", "x"])),
    "when": (st.integers(AT, AT + 9).map(str), st.decimals(AT, AT + 9, places=2).map(str) | CELL),
    "price": (st.floats(-9, 9).map(str), CELL),
    "bought": (st.sampled_from("01"), st.sampled_from(["1", "0", "1.0"]) | CELL),
}
ODD = st.sets(st.sampled_from(NAMES), max_size=2)
ROWS = ODD.flatmap(
    lambda odd: st.lists(st.tuples(*(CELLS[name][name in odd] for name in NAMES)), min_size=2, max_size=4)
)
CLEAN = st.tuples(st.integers(), st.text("abc", min_size=1), st.integers(AT, AT + 99), st.floats(-9, 9), st.just("0"))
FEW = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def outcome(reading: Callable[[], ReplayRows]) -> ReplayRows | str:
    """What was read, or the words of the refusal."""
    try:
        return reading()
    except DataError as error:
        return str(error)


def says(value: Any, cell: Any) -> bool:
    """Whether a value that was read is what the cell says."""
    if isinstance(value, str):
        return bool(value == cell)
    if isinstance(value, int):
        return str(value) == cell
    return bool(value == float(cell)) and math.isfinite(np.float32(value))


def milliseconds(cell: str) -> int:
    return int(Decimal(cell).scaleb(3).to_integral_value())


@FEW
@given(ROWS)
def test_any_cells_of_csv_are_read_as_written_or_refused_with_file_and_row(tmp_path: Path, rows: list[Any]) -> None:
    found = outcome(lambda: from_csv(tmp_path, rows))
    if isinstance(found, str):
        assert re.search(r"log\.csv: (column .* in row \d+ \(line \d+\)|line \d|(no|every) row of)", found, re.S)
        return
    order = sorted(range(len(rows)), key=lambda i: milliseconds(rows[i][2]))
    assert found.time_ms.tolist() == [milliseconds(rows[i][2]) for i in order]
    left = [(w, i, milliseconds(t), p, Decimal(b) == 1) for w, i, t, p, b in rows]
    price: Any = found.features["price"]
    read_rows = zip(
        *(c.tolist() for c in (found.user_id, found.item_id, found.time_ms, price, found.label)), strict=True
    )
    for user, item, time, cost, label in read_rows:
        same = [
            r
            for r in left
            if says(user, r[0]) and says(item, r[1]) and (time, label) == (r[2], r[4]) and says(cost, r[3])
        ]
        left.remove(same[0])
    assert not left


@FEW
@given(st.lists(CLEAN, min_size=1, max_size=4))
def test_a_clean_table_is_never_refused(tmp_path: Path, rows: list[Any]) -> None:
    rows = [(user % 2**63, *others) for user, *others in rows]
    assert len(from_csv(tmp_path, [*rows, (1, "a", AT, 0.5, 1)])) == len(rows) + 1
    columns = dict(zip(NAMES, map(list, zip(*rows, (1, "a", AT, 0.5, "1"), strict=True)), strict=True))
    assert len(from_parquet(tmp_path, columns)) == len(rows) + 1


INT64 = st.integers(-(2**63), 2**63 - 1)
KINDS: list[st.SearchStrategy[Any]] = [INT64, st.sampled_from([0, 1]), st.booleans(), st.floats(), st.text(max_size=3)]


@FEW
@given(st.data())
def test_any_values_of_parquet_are_read_as_they_are_or_refused_with_file_and_row(tmp_path: Path, data: Any) -> None:
    columns = {}
    for name in ("who", "price", "bought"):
        clean = {"who": INT64, "price": st.floats(-9, 9), "bought": st.none()}[name]
        kind = clean if data.draw(st.booleans()) else data.draw(st.sampled_from(KINDS))
        columns[name] = [1, 0] if kind is clean and name == "bought" else [data.draw(kind), data.draw(kind)]
    if data.draw(st.integers(0, 9)) == 0:
        columns["price"] = data.draw(st.sampled_from([[None, 1.5], [None, None]]))
    found = outcome(lambda: from_parquet(tmp_path, columns))
    if isinstance(found, str):
        assert re.search(r"log\.parquet: (column .*in row \d|(no|every) row)", found, re.S)
        return
    assert found.user_id.tolist() == columns["who"] and np.asarray(found.features["price"]).tolist() == columns["price"]
    assert found.label.tolist() == [float(value) == 1 for value in columns["bought"]]


IDS: dict[str, tuple[tuple[Any, Any], list[Any]]] = {
    "leading zeros": (("007", "7"), ["007", "7"]),
    "integers": (("-9223372036854775808", "9223372036854775807"), [-(2**63), 2**63 - 1]),
    "a number among words": (("12.0", "bob"), ["12.0", "bob"]),
    "a plus": (("+5", "5"), ["+5", "5"]),
    "a word for nothing among words": (("NA", "bob"), ["NA", "bob"]),
}


@pytest.mark.parametrize("name", IDS)
def test_ids_that_are_written_differently_stay_two(tmp_path: Path, name: str) -> None:
    cells, expected = IDS[name]
    found = from_csv(tmp_path, two(who=cells))
    assert found.user_id.tolist() == expected and np.asarray(found.features["user_id"]).tolist() == expected
    if isinstance(expected[0], str):
        assert from_parquet(tmp_path, {"who": list(cells)}).user_id.tolist() == expected


def test_a_column_of_integers_whose_last_row_is_a_word_is_of_texts(tmp_path: Path) -> None:
    rows = [(i, "a", AT + i, 1, i % 2) for i in range(2000)]
    found = from_csv(tmp_path, [*rows, ("bob", "a", AT + 2000, 1, 1)])
    assert found.user_id.tolist() == [*map(str, range(2000)), "bob"]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "12.0 is 12": (
        {"who": ("12.0", "12")},
        "'who' holds the number '12.0' in row 1 (line 2), ids are integers or texts",
    ),
    "beyond int64": (
        {"who": ("1", str(2**63))},
        "'who' holds '9223372036854775808' in row 2 (line 3), which does not fit",
    ),
    "no id": ({"what": ("a", "")}, "column 'what' is empty in row 2 (line 3)"),
    "a gap": ({"who": ("1", "NA")}, "column 'who' holds 'NA' in row 2 (line 3) among numbers"),
    "spaces": ({"who": ("1", " 1")}, "column 'who' holds ' 1' in row 2 (line 3); remove the spaces"),
    "no label": ({"bought": ("", "1")}, "column 'bought' is empty in row 1 (line 2)"),
    "nan label": ({"bought": ("1", "nan")}, "column 'bought' holds text, data.label.equals is the number 1"),
    "word label": ({"bought": ("yes", "no")}, "(a text is written in quotes: equals: 'yes'): 'yes' in row 1 (line 2)"),
    "no click": ({"bought": (0, 0)}, "no row of 2 is a click by data.label.equals: 1 on 'bought'"),
    "all clicks": ({"bought": (1, 1)}, "every row of 2 is a click by data.label.equals: 1 on 'bought'"),
    "inf": ({"price": ("1", "-inf")}, "column 'price' holds '-inf' in row 2 (line 3) among numbers"),
    "float32": (
        {"price": ("1", "1e39")},
        "column 'price' holds 1e+39 in row 2 (line 3), a model's numbers end at 3.4e38",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_cell_that_can_be_taken_two_ways_is_refused_by_row_and_line(tmp_path: Path, name: str) -> None:
    cells, message = REFUSED[name]
    with pytest.raises(DataError) as caught:
        from_csv(tmp_path, two(**cells))
    assert message in str(caught.value) and "log.csv" in str(caught.value)


@pytest.mark.parametrize(
    "column, rule",
    [
        (["yes", "no"], {"equals": "yes"}),
        (["1", "0"], {"equals": 1}),
        (["1.0", "0"], {}),
        (["True", "False"], {}),
        ([True, False], {}),
        (["4.5", "3"], {"at_least": 4}),
        ([4.5, 3.0], {"at_least": 4}),
    ],
)
def test_a_label_counts_by_its_rule_in_every_type(tmp_path: Path, column: list[Any], rule: dict[str, Any]) -> None:
    label = {"column": "bought", **rule}
    assert from_parquet(tmp_path, {"bought": column}, label=label).label.tolist() == [1, 0]
    assert from_csv(tmp_path, two(bought=tuple(column)), label=label).label.tolist() == [1, 0]


@pytest.mark.parametrize("said", [True, False])
def test_a_truth_value_as_label_is_asked_for_in_quotes(tmp_path: Path, said: bool) -> None:
    with pytest.raises(ValidationError, match=rf"got {str(said).lower()}.*put it in quotes"):
        from_csv(tmp_path, two(), label={"column": "bought", "equals": said})


TYPES: dict[str, tuple[dict[str, Any], list[Any]]] = {
    "dictionary": ({"price": pa.array(["x", "y"]).dictionary_encode()}, ["x", "y"]),
    "decimal": ({"price": pa.array([Decimal("1.5"), Decimal("2")])}, [1.5, 2.0]),
    "float16": ({"price": pa.array([1.5, 2], pa.float16())}, [1.5, 2.0]),
    "bool": ({"price": [True, False]}, [1, 0]),
    "uint64": ({"price": pa.array([1, 2], pa.uint64())}, [1, 2]),
    "text of digits": ({"price": ["1", "2"]}, ["1", "2"]),
    "bytes": ({"price": [b"x", b"y"]}, ["x", "y"]),
}


@pytest.mark.parametrize("name", TYPES)
def test_types_of_parquet_keep_their_values(tmp_path: Path, name: str) -> None:
    columns, expected = TYPES[name]
    assert np.asarray(from_parquet(tmp_path, columns).features["price"]).tolist() == expected


REFUSED_TYPES: dict[str, tuple[dict[str, Any], str]] = {
    "list of lists": ({"price": [[[1]], [[2]]]}, "column 'price' holds values of type list"),
    "struct": ({"price": [{"a": 1}, {"a": 2}]}, "column 'price' holds values of type struct"),
    "time": ({"price": pa.array([1, 2], pa.timestamp("ms"))}, "column 'price' holds times (timestamp[ms])"),
    "null": ({"price": [1.5, None]}, "column 'price' is empty in row 2"),
    "null in a dictionary": ({"price": pa.array(["x", None]).dictionary_encode()}, "column 'price' is empty in row 2"),
    "beyond int64": ({"who": pa.array([1, 2**63], pa.uint64())}, "column 'who' holds 9223372036854775808 in row 2"),
    "float id": ({"who": [1.0, 2.0]}, "column 'who' holds double (1.0 in row 1), ids are integers or texts"),
    "nan": ({"price": [1.5, math.nan]}, "column 'price' holds nan in row 2"),
    "bytes": ({"who": [b"\xe9", b"y"]}, "column 'who' cannot be read"),
    "zero": ({"who": ["a", "a\0"]}, "column 'who' holds a zero character in row 2"),
}


@pytest.mark.parametrize("name", REFUSED_TYPES)
def test_types_of_parquet_that_have_no_meaning_here_are_refused(tmp_path: Path, name: str) -> None:
    columns, message = REFUSED_TYPES[name]
    with pytest.raises(DataError) as caught:
        from_parquet(tmp_path, columns)
    assert message in str(caught.value) and "log.parquet" in str(caught.value)


def test_two_columns_of_one_name_in_parquet_are_refused(tmp_path: Path) -> None:
    arrays = [pa.array([1, 0])] * 6
    pq.write_table(pa.Table.from_arrays(arrays, [*NAMES, "bought"]), tmp_path / "log.parquet")
    with pytest.raises(DataError, match="has 2 columns of the name 'bought'"):
        read({"format": "parquet", "path": str(tmp_path / "log.parquet"), **TABLE})


def test_a_column_cannot_take_the_name_of_the_users_feature(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="got 'user_id', which is the feature made of 'who'"):
        from_csv(tmp_path, two(), columns=["user_id"])


def test_a_list_carries_the_weights_that_another_column_has(tmp_path: Path) -> None:
    column = {"column": "price", "list_of": "|", "weights": "weights"}
    text = "who,what,when,bought,price,weights\n1,a,1700000000,1,x|y,0.5|2\n2,b,1700000001,0,,\n"
    (tmp_path / "log.csv").write_text(text)
    rows = read({"format": "csv", "path": str(tmp_path / "log.csv"), **TABLE, "columns": [column]})
    genres = rows.features["price"]
    assert isinstance(genres, ListColumn) and genres.weights is not None
    assert (
        genres.values.tolist() == ["x", "y"]
        and genres.weights.tolist() == [0.5, 2]
        and genres.offsets.tolist() == [0, 2, 2]
    )
    (tmp_path / "log.csv").write_text(text.replace("0.5|2", "0.5"))
    with pytest.raises(DataError, match=r"'weights' has not as many weights as 'price' has values in row 1 \(line 2\)"):
        read({"format": "csv", "path": str(tmp_path / "log.csv"), **TABLE, "columns": [column]})
