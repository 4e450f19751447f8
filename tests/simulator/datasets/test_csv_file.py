"""CSV: every row is a line, and every cell the text that stands there."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulator.datasets import text_file as module
from simulator.datasets.csv_file import CsvFile
from simulator.datasets.text_file import text_file
from simulator.errors import DataError


def cells(path: Path, text: str, *names: str, separator: str = ",") -> list[list[str]]:
    path.write_text(text, newline="")
    table = CsvFile(text_file(path), separator).read(names or ["a", "b"])
    return [column.to_pylist() for column in table.columns.values()]


LINES = st.lists(st.text("""x1,," \r\té""", max_size=7), max_size=8).map("\n".join)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(LINES, st.sampled_from(["\n", "\r\n"]), st.integers(3, 40))
def test_any_lines_are_read_as_pythons_csv_reads_them_or_refused_with_the_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: str, end: str, block: int
) -> None:
    monkeypatch.setattr(module, "BLOCK_BYTES", block)
    text = f"a,b\n{lines}\n".replace("\n", end)
    try:
        found = cells(tmp_path / "x.csv", text)
    except DataError as error:
        said = str(error)
    else:
        said = ""
    assert not said or "x.csv: line " in said or "holds no event" in said
    if said:
        return
    rows = [row for row in csv.reader(io.StringIO(text, newline="")) if row][1:]
    assert found == [list(column) for column in zip(*rows, strict=True)]


def test_quotes_blank_lines_and_the_ends_of_windows_are_understood(tmp_path: Path) -> None:
    text = '\n"a",b,c\r\n\r\n"x, ""y""",5" nail,\n\n1,2,3'
    assert cells(tmp_path / "x.csv", text) == [['x, "y"', "1"], ['5" nail', "2"]]
    assert cells(tmp_path / "x.tsv", "a\tb\n1,2\t3\n", separator="\t") == [["1,2"], ["3"]]


REFUSED = {
    "swallows": ('a,b\n1,2\n"A title,3\n4,5\n6",7\n', "line 3 has a quotation mark that opens a value, and none"),
    "swallows a little": ('a,b\n1,2\n3,"x\n', "line 3 has a quotation mark"),
    "over two lines": ('a,b\n1,2\n"x\ny",3\n', "line 3 has a quotation mark"),
    "in the header": ('a,"b\n1,2\n', "line 1 has a quotation mark"),
    "too few": ("a,b,c\n1,2,3\n\n1,2\n", "line 4 has 2 values, the header has 3"),
    "too many": ("a,b\n1,2\n1,2,3\n", "line 3 has 3 values, the header has 2"),
    "no such column": ("a,c\n1,2\n", "has no column 'b'; it has a, c; if its first line is a row, give it a header"),
    "twice": ("a,b,b\n1,2,3\n", "has 2 columns of the name 'b'; give each its own name"),
    "no header": ("0,7,,7,a\n0,7,,7,b\n", "line 1 must be the header, and looks like a row (it has '7' 2 times)"),
    "only a header": ("a,b\n", "holds no event"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_line_that_is_no_row_is_refused_by_its_number(tmp_path: Path, name: str) -> None:
    text, message = REFUSED[name]
    with pytest.raises(DataError) as caught:
        cells(tmp_path / "x.csv", text)
    assert message in str(caught.value)


def test_a_column_that_nobody_asks_for_may_be_there_twice(tmp_path: Path) -> None:
    assert cells(tmp_path / "x.csv", "a,c,c,b\n1,2,3,4\n") == [["1"], ["4"]]
