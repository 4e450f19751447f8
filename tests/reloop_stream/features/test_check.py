"""What no model can take is refused by name before it reaches compiled code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from reloop_stream.config import FieldConfig
from reloop_stream.errors import EventError
from reloop_stream.events import ListColumn, constant
from reloop_stream.features.check import check_candidates, check_columns, check_examples, check_number
from reloop_stream.features.encoder import Encoder
from reloop_stream.testing import examples

OFFSETS = "its lists' offsets must rise from 0 to 3"
COLUMNS: dict[str, tuple[Any, str]] = {
    "a list": ([1, 2], "got a value of type list, must be a ListColumn or a numpy array"),
    "two dimensions": (np.ones((2, 1)), "has 2 dimensions"),
    "no dimension": (np.array(3), "has 0 dimensions"),
    "another length": (np.arange(3), "has 3 rows, must have 2"),
    "masked": (np.ma.masked_array([1, 2], [True, False]), "got a value of type MaskedArray"),
    "booleans": (np.array([True, False]), "numpy kind 'b'"),
    "complex": (np.array([1j, 2]), "numpy kind 'c'"),
    "times": (np.array(["2024-01-01"] * 2, dtype="M8[s]"), "numpy kind 'M'"),
    "bytes": (np.array([b"a", b"b"]), "numpy kind 'S'"),
    "None among texts": (np.array(["a", None], dtype=object), r"got None \(NoneType\) in row 1"),
    "integers as objects": (np.array([3, 4], dtype=object), r"got 3 \(int\) in row 0"),
    "half a surrogate pair": (np.array(["a", "\ud800"], dtype=object), r"got '\\ud800' in row 1, which UTF-8"),
    "NaN": (np.array([1.0, np.nan]), "got nan in row 1, must be a finite number"),
    "infinity": (np.array([-np.inf, 1.0]), "got -inf in row 0"),
    "infinity in half precision": (np.array([1, np.inf], dtype=np.float16), "got inf in row 1"),
    "beyond single precision": (np.array([1.0, 1e39]), r"got 1e\+39 in row 1"),
    "beyond 63 bits": (np.array([2**64 - 1, 0], dtype=np.uint64), "integers must be at most 9223372036854775807"),
    "offsets from 1": (ListColumn(np.arange(3), np.array([1, 2, 3])), OFFSETS),
    "falling offsets": (ListColumn(np.arange(3), np.array([0, 4, 3])), f"{OFFSETS}.*falling in between"),
    "unsigned falling offsets": (ListColumn(np.arange(3), np.array([0, 4, 3], dtype=np.uint64)), "falling in between"),
    "offsets beyond the values": (ListColumn(np.arange(3), np.array([0, 1, 4])), OFFSETS),
    "offsets before their end": (ListColumn(np.arange(3), np.array([0, 1, 2])), OFFSETS),
    "offsets of floats": (ListColumn(np.arange(3), np.array([0, 1.5, 3])), "got offsets of float64"),
    "no offsets": (ListColumn(np.arange(3), np.zeros(0, dtype=np.int64)), "got no offsets"),
    "a list of floats": (ListColumn(np.ones(3), np.array([0, 1, 3])), "numpy kind 'f'"),
    "a weight below 0": (
        ListColumn(np.arange(2), np.array([0, 1, 2]), np.array([1.0, -1.0])),
        "the weight -1.0, must",
    ),
    "a weight that is NaN": (ListColumn(np.arange(1), np.array([0, 1, 1]), np.array([np.nan])), "the weight nan"),
    "too few weights": (ListColumn(np.arange(2), np.array([0, 1, 2]), np.ones(1)), r"weights of float64 \(1,\)"),
    "weights of texts": (ListColumn(np.arange(1), np.array([0, 1, 1]), np.array(["1"])), "got weights of <U1"),
    "a list of weights": (ListColumn(np.arange(1), np.array([0, 1, 1]), [1.0]), "weights of a value of type list"),  # type: ignore[arg-type]
    "values of two dimensions": (ListColumn(np.ones((3, 1), dtype=int), np.array([0, 1, 3])), "of one dimension"),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_that_no_model_takes_is_refused_by_name(name: str) -> None:
    column, message = COLUMNS[name]
    with pytest.raises(EventError, match=f"features.more: .*{message}"):
        check_columns({"user": np.arange(2), "more": column})


def test_what_some_model_takes_is_let_through() -> None:
    columns: dict[str, Any] = {
        "i": np.array([1, 2], dtype=">i2"), "u": np.array([0, 2**63 - 1], dtype=np.uint64), "f": np.array([1, 2], dtype=np.float16),
        "largest": np.array([3.4e38, -3.4e38]), "U": np.array(["a", "b"]), "O": np.array(["a\0", ""], dtype=object),
        "numpy's texts": np.array([np.str_("a"), "b"], dtype=object), "one": constant("ü", 2), "back": np.arange(2)[::-1],
        "list": ListColumn(np.array(["a", "b"], dtype=object), np.array([0, 0, 2], dtype=np.uint8)),
    }  # fmt: skip
    assert check_columns(columns) == 2
    assert check_columns({"none": np.zeros(0)}) == 0


@pytest.mark.parametrize("features", [{}, None, [np.arange(2)], {3: np.arange(2)}])
def test_what_is_no_mapping_of_names_to_columns_is_refused(features: Any) -> None:
    with pytest.raises(EventError, match=r"^request_features: got "):
        check_columns(features, "request_features")


@pytest.mark.parametrize(
    "candidates, message",
    [
        (np.array([[0, 2]]), "got 2 for request 0, there are 2 items"),
        (np.array([[0, -1]]), "got -1 for request 0"),
        (np.array([[2**64 - 1]], dtype=np.uint64), "got 18446744073709551615 for request 0"),
        (np.array([[0], [1]]), r"has shape \(2, 1\), must be \[1, K\]"),
        (np.array([0]), r"has shape \(1,\)"),
        (np.array([[0.0]]), "got an array of float64, must be an array of integers"),
        (np.array([[True]]), "got an array of bool"),
        ([[0]], "got a value of type list"),
    ],
)
def test_candidates_that_are_no_items_are_refused(candidates: Any, message: str) -> None:
    with pytest.raises(EventError, match=f"candidates: {message}"):
        check_candidates(candidates, requests=1, items=2)


@pytest.mark.parametrize("dtype", ["i8", "u1", ">i4"])
def test_candidates_of_any_integer_type_and_layout_are_brought_into_one(dtype: str) -> None:
    found = check_candidates(np.array([[0, 1, 1], [1, 0, 0]], dtype=dtype)[:, ::-1], requests=2, items=2)
    assert found.tolist() == [[1, 1, 0], [0, 0, 1]] and found.dtype == np.int64 and found.flags.c_contiguous
    assert check_candidates(np.zeros((2, 0), dtype=dtype), requests=2, items=0).shape == (2, 0)


CHANGES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "a label of 2": (lambda b: replace(b, label=np.array([0, 2, 1])), "label: got 0 to 2"),
    "a label of -1": (lambda b: replace(b, label=np.array([0, -1, 1])), "label: got -1 to 1"),
    "labels of text": (lambda b: replace(b, label=np.array(["a", "b", "c"])), "label: got values of numpy kind 'U'"),
    "too few labels": (lambda b: replace(b, label=b.label[:2]), "label: has 2 rows, must have 3"),
    "a stamp of NaN": (lambda b: stamped(b, pctr=np.array([0.1, np.nan, 0.1])), "pctr: got nan"),
    "a stamp above 1": (lambda b: stamped(b, pctr=np.array([0.1, 1.5, 0.1])), "pctr: got 0.1 to 1.5"),
    "too few users": (lambda b: stamped(b, user_id=b.exposures.user_id[:2]), "user_id: has 2 rows"),
    "no features": (lambda b: stamped(b, features={}), "features: got no column"),
    "too few features": (lambda b: stamped(b, features={"user": np.arange(2)}), "features: have 2 rows, must have 3"),
    "the exposures alone": (lambda b: b.exposures, "examples: got a value of type ExposureBatch"),
}


def stamped(batch: Any, **columns: Any) -> Any:
    return replace(batch, exposures=replace(batch.exposures, **columns))


@pytest.mark.parametrize("name", CHANGES)
def test_examples_that_break_the_contract_are_refused(name: str) -> None:
    change, message = CHANGES[name]
    check_examples(examples(3), np.zeros(3, dtype=bool))
    with pytest.raises(EventError, match=message):
        check_examples(change(examples(3)), None)
    with pytest.raises(EventError, match="foreign: got values of numpy kind 'i', must be of b"):
        check_examples(examples(3), np.arange(3))


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), 1e39, 10**400, "1", None, 1j, np.array([1.0]), [1.0]])
def test_a_value_that_no_model_can_hold_is_refused(value: Any) -> None:
    with pytest.raises(EventError, match=r"price: got .* must be a finite number that fits 32 bits"):
        check_number("price", value)


def test_an_exact_value_has_its_row_whatever_its_type() -> None:
    encoder = Encoder([FieldConfig(name="hour", mode="exact", buckets=24), FieldConfig(name="slot", mode="exact", buckets=200)])  # fmt: skip
    for dtype in ("i1", "u1", "i4", "u8", ">i2"):
        values = np.array([0, 100, 127], dtype=dtype)
        assert encoder.encode({"hour": values, "slot": values}).slots[:, 1].tolist() == [26, 126, 153]


def test_a_batch_that_is_refused_leaves_no_value_in_a_vocabulary() -> None:
    encoder = Encoder([FieldConfig(name=name, mode="growing", buckets=9) for name in ("city", "shop")])
    with pytest.raises(EventError, match=r"features\.shop"):
        encoder.learn_values({"city": np.array(["Rom"], dtype=object), "shop": np.array([1.5])})
    assert encoder.rows == 2
