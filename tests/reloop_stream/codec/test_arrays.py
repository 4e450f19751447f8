"""Columns become what arrow itself would make of them, and come back; pandas is not loaded for it."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import hypothesis.extra.numpy as arrays
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reloop_stream.codec.arrays import NUMBERS, numbers, plain, texts, values

COLUMNS = st.one_of(
    *(arrays.arrays(dtype, st.integers(0, 20)) for dtype in (np.dtype(bool), *NUMBERS)),
)


@given(COLUMNS, st.booleans(), st.sampled_from([1, 2, -1]))
def test_numbers_are_those_that_arrow_makes(column: np.ndarray, nullable: bool, step: int) -> None:
    made = numbers(column[::step], nullable)
    made.validate(full=True)
    assert made.equals(pa.array(column[::step], from_pandas=nullable)) or np.isnan(column.astype(float)).any()
    assert made.null_count == (np.isnan(column[::step].astype(float)).sum() if nullable else 0)


@given(COLUMNS.filter(lambda column: column.dtype != np.bool_))
def test_numbers_come_back_bit_for_bit(column: np.ndarray) -> None:
    assert plain(numbers(column)).tobytes() == column.tobytes()


@given(st.lists(st.text()))
def test_texts_are_those_that_arrow_makes(column: list[str]) -> None:
    made = texts(column)
    made.validate(full=True)
    assert made.equals(pa.array(column, pa.string()))


@pytest.mark.parametrize(
    "column",
    [
        ["a", "b"],
        ["a", None],
        [1, 2],
        [1, None],
        [1, 2.5],
        [None, 0.5],
        [None, None],
        [],
        [True, None],
        [np.float64(1)],
    ],
)
def test_values_are_those_that_arrow_makes(column: list[Any]) -> None:
    made = values(column)
    made.validate(full=True)
    assert made.equals(pa.array(column)) and made.type == pa.array(column).type


def test_pandas_is_not_loaded_for_it() -> None:
    uses = """
import sys, numpy as np
from simulator.run_folder.tables import repeated, table_of
columns = {"n": np.arange(3), "is": np.array([True, False, True]), "text": ["a", "b", "c"], "some": [1.5, None, 2.0]}
table = table_of(columns | {"same": repeated("x", 3)})
assert table.to_pydict()["some"] == [1.5, None, 2.0]
sys.exit("pandas" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", uses], check=False).returncode == 0
