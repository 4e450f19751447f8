"""Encoding: fields have ranges of their own, exact values their own rows, hashes spread evenly."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reloop_stream.config import FieldConfig
from reloop_stream.events import EventError, ListColumn
from reloop_stream.features import Encoder
from reloop_stream.hashing import bucket, field_salt, hash_integers, hash_texts

FIELDS = [
    FieldConfig(name="user", mode="exact", buckets=10),
    FieldConfig(name="item", mode="hashed", buckets=100),
    FieldConfig(name="tags", kind="list", mode="hashed", buckets=20),
    FieldConfig(name="price", kind="number"),
]


def features(**changes: Any) -> dict[str, Any]:
    tags = ListColumn(np.array(["a", "b", "a"], dtype=object), np.array([0, 2, 2, 3]))
    base = {"user": np.array([0, 9, 77]), "item": np.array([5, 6, 5]), "tags": tags, "price": np.array([1.0, 2.0, 3.0])}
    return base | changes


def test_fields_have_ranges_of_their_own() -> None:
    encoder = Encoder(FIELDS)
    encoded = encoder.encode(features())
    assert encoder.rows == 11 + 100 + 20
    assert encoded.slots[:, 0].tolist() == [1, 10, 0]  # 77 is none of the ten
    assert (encoded.slots[:, 1] >= 11).all() and (encoded.slots[:, 1] < 111).all()
    assert encoded.slots[0, 1] == encoded.slots[2, 1] != encoded.slots[1, 1]
    rows, offsets = encoded.lists[0]
    assert (rows >= 111).all() and (rows < 131).all() and rows[0] == rows[2] and offsets.tolist() == [0, 2, 2, 3]
    assert encoded.numbers[:, 0].tolist() == [1.0, 2.0, 3.0]


def test_a_part_of_the_fields_encodes_as_it_does_among_all() -> None:
    encoder = Encoder(FIELDS)
    assert np.array_equal(encoder.encode_some(features(), ["item"]).slots[:, 0], encoder.encode(features()).slots[:, 1])


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"user": None}, "features.user: missing"),
        ({"user": np.array([0.5, 1, 2])}, "features.user: got values of numpy kind 'f'"),
        ({"item": features()["tags"]}, "features.item: got a list, the model's field is a category"),
        ({"price": np.array(["1", "2", "3"], dtype=object)}, "features.price: got values of numpy kind 'O'"),
    ],
)
def test_an_unfit_column_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(EventError, match=message):
        Encoder(FIELDS).select(features(**changes))


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=50), st.integers(1, 1 << 20))
def test_any_integer_has_a_bucket_that_depends_on_it_alone(values: list[int], buckets: int) -> None:
    array, salt = np.array(values, dtype=np.int64), field_salt("f")
    found = bucket(hash_integers(array, salt), buckets)
    assert ((found >= 0) & (found < buckets)).all()
    assert found[-1] == bucket(hash_integers(array[-1:], salt), buckets)[0]


def test_hashes_spread_evenly_and_differ_between_fields() -> None:
    values = np.arange(100_000)
    one, other = (bucket(hash_integers(values, field_salt(name)), 100) for name in ("a", "b"))
    counts = np.bincount(one, minlength=100)
    chi_square = ((counts - 1000) ** 2 / 1000).sum()
    assert 50 < chi_square < 160  # 99 degrees of freedom
    assert (one == other).mean() < 0.02
    texts = np.array([f"t{i}" for i in range(5000)], dtype=object)
    assert np.bincount(bucket(hash_texts(texts, field_salt("a")), 10), minlength=10).min() > 400


def test_the_hashes_are_those_of_every_version() -> None:
    # Checkpoints and stored snapshots depend on these values: they must never change.
    assert hash_integers(np.array([0, 1, -1]), field_salt("item")).tolist() == STORED_INTEGERS
    assert hash_texts(np.array(["a", "ü"], dtype=object), field_salt("item")).tolist() == STORED_TEXTS


STORED_INTEGERS = [10114323383022606699, 3914203770238662256, 16206995111986690384]
STORED_TEXTS = [7664212421519163421, 6358342440781841394]
