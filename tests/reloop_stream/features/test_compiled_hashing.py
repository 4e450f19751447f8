"""The compiled hash is numpy's, whatever integers come."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reloop_stream.events import constant
from reloop_stream.features.compiled_hashing import rows_of_integers
from reloop_stream.features.hashing import bucket, field_salt, hash_integers


def both(values: np.ndarray, buckets: int, start: int) -> tuple[list[int], list[int]]:
    salt, out = field_salt("f"), np.empty(len(values), dtype=np.int64)
    rows_of_integers(values, salt, buckets, start, out)
    return out.tolist(), (start + bucket(hash_integers(values, salt), buckets)).tolist()


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=50), st.integers(1, 1 << 28), st.integers(0, 1 << 40))
def test_rows_are_those_of_the_hashes(values: list[int], buckets: int, start: int) -> None:
    compiled, plain = both(np.array(values, dtype=np.int64), buckets, start)
    assert compiled == plain


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint32", "uint64", ">i4"])
def test_any_type_and_layout_of_integers_will_do(dtype: str) -> None:
    values = np.array([0, 1, 127, 3, 9, 100], dtype=dtype)
    for column in (values, values[::2], constant(values[2], 4)):
        compiled, plain = both(column, 1000, 7)
        assert compiled == plain
