"""Encoding: fields have ranges of their own, exact values their own rows, hashes spread evenly."""

from __future__ import annotations

import tracemalloc
from typing import Any

import mmh3
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reloop_stream.config import FieldConfig
from reloop_stream.errors import EventError, StateError
from reloop_stream.events import ListColumn
from reloop_stream.features.encoder import Encoder
from reloop_stream.features.hashing import bucket, field_salt, hash_integers, hash_texts, normals
from reloop_stream.state.packing import pack, unpack

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
    rows, offsets, weights = encoded.lists[0]
    assert weights is None
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


GROWING = [
    FieldConfig(name="city", mode="growing", buckets=3),
    FieldConfig(name="hour", mode="exact", buckets=24),
    FieldConfig(name="words", kind="list", mode="growing", buckets=100),
]


def growing(cities: list[Any], words: list[Any]) -> dict[str, Any]:
    n = len(cities)
    texts = np.array(words, dtype=object if words and isinstance(words[0], str) else np.int64)
    return {
        "city": np.array(cities, dtype=object if isinstance(cities[0], str) else np.int64),
        "hour": np.arange(n),
        "words": ListColumn(texts, np.minimum(np.arange(n + 1), len(words))),
    }


def test_new_values_join_a_growing_field_when_they_are_learnt_and_never_before() -> None:
    encoder = Encoder(GROWING)
    assert encoder.rows == 1 + 25 + 1  # each growing field has one row for all that it does not know
    batch = growing(["Rom", "Ulm", "Rom"], ["a", "b"])
    assert encoder.encode(batch).slots[:, 0].tolist() == [0, 0, 0] and encoder.rows == 27
    encoder.learn_values(batch)
    assert encoder.rows == 31
    assert encoder.encode(batch).slots[:, 0].tolist() == [27, 28, 27]
    assert encoder.encode(batch).lists[0][0].tolist() == [29, 30]
    encoder.learn_values(growing(["Bern", "Ulm", "Wien"], ["b", "c"]))  # Wien would be the fourth of three
    assert encoder.encode(growing(["Wien", "Bern", "Oslo"], ["c", "d"])).slots[:, 0].tolist() == [0, 31, 0]
    assert encoder.encode(growing(["Wien", "Bern", "Oslo"], ["c", "d"])).lists[0][0].tolist() == [32, 26]


def test_a_number_and_its_digits_are_two_values() -> None:
    encoder = Encoder(GROWING)
    encoder.learn_values(growing([5, -5], [2**62]))
    assert encoder.encode(growing([5, -5, 7], [])).slots[:, 0].tolist() == [27, 28, 0]
    assert encoder.encode(growing(["5", "-5"], [])).slots[:, 0].tolist() == [0, 0]


def test_a_frozen_encoder_knows_what_was_known_then() -> None:
    encoder = Encoder(GROWING)
    encoder.learn_values(growing(["Rom"], []))
    frozen = encoder.frozen()
    encoder.learn_values(growing(["Ulm"], ["a"]))
    assert frozen.rows == 28 and encoder.rows == 30
    assert frozen.encode(growing(["Rom", "Ulm"], ["a"])).slots[:, 0].tolist() == [27, 0]
    assert frozen.encode(growing(["Rom", "Ulm"], ["a"])).lists[0][0].tolist() == [26]
    with pytest.raises(TypeError, match="a frozen encoder learns no values"):
        frozen.learn_values(growing(["Ulm"], []))


VALUES = st.one_of(st.integers(-(2**63), 2**63 - 1), st.text(st.characters(exclude_categories=["Cs"])))


@given(st.lists(st.lists(VALUES, min_size=1, max_size=8), max_size=8), st.integers(0, 8))
def test_a_vocabulary_goes_on_from_its_bytes_as_if_it_had_never_stopped(batches: list[list[Any]], stop: int) -> None:
    whole, restored = Encoder(GROWING), Encoder(GROWING)

    def learn(encoder: Encoder, values: list[Any]) -> None:
        for kind in (int, str):
            if some := [value for value in values if isinstance(value, kind)]:
                encoder.learn_values(growing(some, some))

    for values in batches:
        learn(whole, values)
    for values in batches[:stop]:
        learn(restored, values)
    frozen = restored.frozen()
    for values in batches[stop:]:
        learn(restored, values)
    meta, arrays = unpack(pack(*frozen.state()))
    restored = Encoder(GROWING)
    restored.restore(meta, arrays)
    assert restored.rows == frozen.rows
    for values in batches[stop:]:
        learn(restored, values)
    assert restored.rows == whole.rows
    for name, array in whole.state()[1].items():
        assert np.array_equal(array, restored.state()[1][name])


def test_a_vocabulary_of_other_fields_or_with_wrong_rows_is_refused() -> None:
    encoder = Encoder(GROWING)
    encoder.learn_values(growing(["Rom", "Ulm"], []))
    meta, arrays = encoder.state()
    with pytest.raises(StateError, match=r"vocabulary of \['city', 'words'\], this model's is of \['city'\]"):
        Encoder(GROWING[:1]).restore(meta, arrays)
    with pytest.raises(StateError, match="rows are not 27 to 28, each once"):
        Encoder(GROWING).restore(meta, arrays | {"city.rows": np.array([27, 900])})
    with pytest.raises(StateError, match="holds no vocabulary that can be read"):
        Encoder(GROWING).restore(meta, arrays | {"city.values": np.frombuffer(b"[1.5, {}]", dtype=np.uint8)})


def test_draws_by_number_are_normal_and_differ_between_seeds() -> None:
    one, other = normals(1, 0, 20_000), normals(2, 0, 20_000)
    assert abs(one.mean()) < 0.03 and abs(one.std() - 1) < 0.03 and np.isfinite(one).all()
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.03 and abs(np.corrcoef(one[1:], one[:-1])[0, 1]) < 0.03


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


def test_the_memory_of_hashing_texts_is_that_of_the_texts() -> None:
    texts = np.array(["short"] * 999 + ["l" * 1_000_000], dtype=object)
    tracemalloc.start()
    hashes = hash_texts(texts, field_salt("a"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8_000_000  # an array of such texts would take 4 GB
    assert hashes[0] == hashes[998] != hashes[999]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1))
def test_a_text_s_hash_depends_on_it_alone_zero_bytes_included(texts: list[str]) -> None:
    both = hash_texts(np.array([*texts, *(text + "\0" for text in texts)], dtype=object), field_salt("a")).tolist()
    assert both[: len(texts)] == [
        mmh3.hash64(t.encode(), int(field_salt("a")) & 0xFFFFFFFF, signed=False)[0] for t in texts
    ]
    assert len(set(both)) == len({*texts, *(text + "\0" for text in texts)})
