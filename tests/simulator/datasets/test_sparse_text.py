"""libSVM and libFFM: lists of indices whose weights are the values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reloop_stream.events import ListColumn
from simulator.datasets import text_file
from simulator.errors import DataError
from tests.simulator.datasets.logged import facts_of, read

Cells = list[tuple[int, int, float]]


def lists(rows: Any, name: str) -> list[list[tuple[int, float]]]:
    column = rows.features[name]
    assert isinstance(column, ListColumn) and column.weights is not None
    pairs = list(zip(column.values.tolist(), column.weights.tolist(), strict=True))
    return [pairs[a:b] for a, b in zip(column.offsets[:-1], column.offsets[1:])]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 2), st.integers(0, 10**17), st.floats(0, 1e6)), max_size=5),
        min_size=2,
        max_size=9,
    ),
    st.integers(5, 60),
)
def test_every_cell_of_libffm_is_in_its_field_s_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: list[Cells], block: int
) -> None:
    monkeypatch.setattr(text_file, "BLOCK_BYTES", block)
    text = "".join(f"{i % 2} {' '.join(f'{f}:{j}:{v!r}' for f, j, v in row)}\n" for i, row in enumerate(rows))
    (tmp_path / "x.ffm").write_text(text)
    found = read({"format": "libffm", "path": str(tmp_path / "x.ffm"), "fields": 3})
    assert found.label.tolist() == [i % 2 for i in range(len(rows))]
    for field in range(3):
        assert lists(found, f"f{field}") == [[(j, v) for f, j, v in row if f == field] for row in rows]


def test_libsvm_is_one_list(tmp_path: Path) -> None:
    (tmp_path / "x.svm").write_text("+1 3:0.5 7:1 # a comment\n-1 0012:2\n-1\n")
    rows = read({"format": "libsvm", "path": str(tmp_path / "x.svm")})
    assert rows.label.tolist() == [1, 0, 0] and np.unique(rows.user_id).tolist() == [0]
    assert lists(rows, "x") == [[(3, 0.5), (7, 1.0)], [(12, 2.0)], []]


@pytest.mark.parametrize(
    "form, line, message",
    [
        ("libsvm", "1 3", "line 2 is not `label index:value ...`: got '3'"),
        ("libsvm", "1 0:3:1", "line 2 is not .*got '0:3:1'"),
        ("libsvm", "1 3:nan", "line 2 is not .*got '3:nan'"),
        ("libsvm", "1 3:-1", "line 2 is not .*got '3:-1', a value is the weight of its index, 0 or more"),
        ("libsvm", "inf 3:1", "line 2 is not .*its label is 'inf'"),
        ("libffm", "1 3:1", "line 2 is not `label field:index:value ...`: got '3:1'"),
        ("libffm", "1 2:3:1", r"line 2 is not .*got '2:3:1', fields are numbered from 0 to 1 \(data.fields\)"),
    ],
)
def test_a_bad_line_is_named_or_left_out_and_noted(tmp_path: Path, form: str, line: str, message: str) -> None:
    cell = "1:1" if form == "libsvm" else "0:1:1"
    lines = [f"1 {cell}", line, *[f"{i % 2} {cell}" for i in range(30)]]
    (tmp_path / "x").write_text("\n".join(lines) + "\n")
    data: dict[str, Any] = {"format": form, "path": str(tmp_path / "x")} | ({"fields": 2} if form == "libffm" else {})
    with pytest.raises(DataError, match=message):
        read(data)
    facts = facts_of({**data, "bad_rows": 0.1}, tmp_path / "prepared")
    assert (
        facts.rejected == 1
        and facts.starts[-1] == 31
        and any("1 rows that cannot be read" in one for one in facts.notes)
    )
