"""Larger batches are written in fewer bytes, come back bit for bit, and nothing that a record claims takes much memory."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from reloop_stream.codec import compact_kernels as kernels
from reloop_stream.codec.arrow_format import decode, encode
from reloop_stream.codec.compact import MAX_CELLS, expanded, pays
from reloop_stream.errors import EventError
from reloop_stream.events import ClickBatch, ExampleBatch, ExposureBatch, ListColumn, constant
from reloop_stream.testing import clicks_on, exposures, same_columns

SLATE = 10


def slates(n: int = 600, **columns: Any) -> ExposureBatch:
    """Slates of 10: what is said of a request is the same in its rows."""
    request = np.repeat(np.arange(n // SLATE), SLATE)
    features = {
        "user": (request % 300).astype(np.int32),
        "hour": constant(7, n, np.int64),
        "price": np.where(request % 2, -0.0, 0.0),
        "item": np.arange(n).astype(np.int16) % 900,
        "byte": np.arange(n).astype(np.int8),
        "single": np.arange(n, dtype=np.float32) / 3,
        "double_byte": (np.arange(n) % 100).astype(np.float16),
        "far": np.arange(n) << 40,
        "half": np.arange(n) / 2,
        "third": np.arange(n) / 3,
        "unsigned": np.arange(n, dtype=np.uint64) + (1 << 63),
        "text": np.array([f"t{i % 3}" for i in range(n)], dtype=object),
        "many": ListColumn(np.arange(2 * n), np.arange(0, 2 * n + 1, 2)),
    }
    made: dict[str, Any] = {
        "request_id": (request + 7) << 30,
        "exposure_id": ((request + 7) << 36) + np.arange(n) % SLATE,
        "event_time_ms": 1_700_000_000_000 + request * 12_345,
        "position": (np.arange(n) % SLATE).astype(np.int32),
        "propensity": np.where(request % 3, 0.1, np.nan),
        "features": features,
    }
    return exposures(n, **(made | columns))


def schema_of(value: bytes) -> pa.Schema:
    return pa.ipc.open_stream(value).schema


def bits(column: Any) -> list[Any]:
    if isinstance(column, ListColumn):
        return [*bits(column.values), *column.offsets.tolist()]
    return (column.view(np.int64) if column.dtype == np.float64 else column).tolist()


@pytest.mark.parametrize("n", [10, 250, 600, 40_000])
def test_a_batch_of_any_size_comes_back_bit_for_bit_and_in_its_types(n: int) -> None:
    shown = slates(n)
    found: Any = decode(encode(shown), "exposure")
    assert same_columns(shown, found)
    for name, column in shown.features.items():
        assert bits(found.features[name]) == bits(column), name
        if isinstance(column, np.ndarray):
            assert found.features[name].dtype == column.dtype, name
    for name in ("request_id", "exposure_id", "event_time_ms", "user_id", "item_id"):
        assert getattr(found, name).dtype == np.int64, name
    label = (np.arange(n) % 7 == 0).astype(np.uint8)
    labelled = ExampleBatch(shown, label, shown.event_time_ms + 5, label)
    assert same_columns(labelled, decode(encode(labelled), "example"))
    clicks = clicks_on(shown, np.arange(0, n, 2))
    assert same_columns(clicks, decode(encode(clicks), "click"))


def test_slates_take_less_than_half_of_the_bytes_of_their_columns() -> None:
    few, many = (len(encode(slates(n, features={"user": np.arange(n) // SLATE}))) for n in (10_000, 20_000))
    assert many - few < 10_000 * 28  # of 68: pctr 8, item_id, position and user 1 to 2 each, and a tenth of the rest


def test_ids_are_left_out_only_where_every_one_is_made_of_request_and_position() -> None:
    shown = slates()
    assert "exposure_id" not in schema_of(encode(shown)).names
    other = shown.exposure_id.copy()
    other[599] += 1
    for ids in (other, shown.exposure_id.astype(str).astype(object), np.arange(600)):
        batch = slates(exposure_id=ids)
        assert "exposure_id" in schema_of(encode(batch)).names
        assert same_columns(batch, decode(encode(batch), "exposure"))


def test_requests_that_come_back_or_are_named_by_texts_are_written_too() -> None:
    for request_id in (np.arange(600) % 7, np.array([f"r{i // 10}" for i in range(600)], dtype=object)):
        batch = slates(request_id=request_id)
        assert same_columns(batch, decode(encode(batch), "exposure"))


def test_a_reader_of_arrow_alone_sees_the_columns() -> None:
    shown = slates()
    batch = pa.ipc.open_stream(encode(shown)).read_next_batch()
    runs = pa.compute.run_end_decode(batch.column("request_id"))
    assert runs.to_pylist() == shown.request_id.tolist()
    assert batch.column("position").to_pylist() == shown.position.tolist()
    factor = int(batch.schema.metadata[b"exposure_id"])
    made = [factor * r + p for r, p in zip(runs.to_pylist(), batch.column("position").to_pylist(), strict=True)]
    assert made == shown.exposure_id.tolist()


def written(columns: dict[str, pa.Array], metadata: dict[bytes, bytes], **fields: dict[bytes, bytes]) -> bytes:
    schema = pa.schema([pa.field(name, one.type, metadata=fields.get(name)) for name, one in columns.items()], metadata)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(pa.record_batch(list(columns.values()), schema=schema))
    return bytes(sink.getvalue().to_pybytes())


def runs(ends: list[int], values: pa.Array) -> pa.Array:
    return pa.RunEndEncodedArray.from_arrays(pa.array(ends, pa.int64()), values)


CLICKS = {name: pa.array([1, 2, 3]) for name in ("exposure_id", "event_time_ms", "click_time_ms")}
FAR = 1 << 30
DICTIONARY_OF_LISTS = pa.DictionaryArray.from_arrays(pa.array([0, 0, 0], pa.int8()), pa.array([[1, 2]]))
MALFORMED: dict[str, tuple[dict[str, pa.Array], str]] = {
    "rows without a byte each": ({name: runs([FAR], pa.array([1])) for name in CLICKS}, "bytes that would be columns"),
    "nothing, often": ({name: pa.nulls(1 << 23) for name in CLICKS}, "bytes that would be columns"),
    "runs of lists": (CLICKS | {"click_time_ms": runs([3], pa.array([[1]]))}, "holds values of type"),
    "runs with a null": (CLICKS | {"click_time_ms": runs([1, 3], pa.array([1, None]))}, "1 nulls"),
    "runs of texts": (CLICKS | {"click_time_ms": runs([3], pa.array(["a"]))}, "must be int64"),
    "a dictionary of lists": (CLICKS | {"click_time_ms": DICTIONARY_OF_LISTS}, "holds values of type"),
}


@pytest.mark.parametrize("columns, said", MALFORMED.values(), ids=MALFORMED)
def test_a_column_that_is_none_is_refused_before_it_takes_memory(columns: dict[str, pa.Array], said: str) -> None:
    with pytest.raises(EventError, match=said):
        decode(written(columns, {}), "click")


def test_a_text_that_is_named_in_many_rows_is_one_object() -> None:
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 3, pa.int8()), pa.array(["x" * 1000]))
    found: Any = decode(written(CLICKS | {"arm": texts}, {}), "click")
    assert found.arm[0] is found.arm[2] and found.arm[1] == "x" * 1000


def test_lists_of_values_without_a_byte_are_refused() -> None:
    shown = exposures(3, features={})
    batch = pa.ipc.open_stream(encode(shown)).read_next_batch()
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    for inner in (pa.nulls(1 << 20), runs([1 << 20], pa.array([1]))):
        tags = pa.LargeListArray.from_arrays(pa.array([0, 1 << 20, 1 << 20, 1 << 20]), inner)
        value = written(columns | {"features.tags": tags}, dict(batch.schema.metadata))
        with pytest.raises(EventError, match=r"features.tags: (holds values of type run_end|1048576 nulls)"):
            decode(value, "exposure")


@pytest.mark.parametrize("dtype", [b"int8", b"float64", b"O", b"nonsense"])
def test_a_type_that_the_numbers_cannot_have_had_is_refused(dtype: bytes) -> None:
    batch = pa.ipc.open_stream(encode(exposures(3))).read_next_batch()
    columns = dict(zip(batch.schema.names, batch.columns, strict=True)) | {"features.item": pa.array([1 << 60] * 3)}
    value = written(columns, dict(batch.schema.metadata), **{"features.item": {b"dtype": dtype}})
    if dtype == b"float64":  # numpy widens integers to it, as reading a feature of integers as numbers would
        assert decode(value, "exposure").features["item"].dtype == np.float64  # type: ignore[union-attr]
        return
    with pytest.raises(EventError, match=r"features.item: is said to have been of type"):
        decode(value, "exposure")


@pytest.mark.parametrize("factor", [b"", b"seven", b"1e3", str(1 << 70).encode()])
def test_a_factor_that_is_none_is_refused(factor: bytes) -> None:
    batch = pa.ipc.open_stream(encode(slates())).read_next_batch()
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    with pytest.raises(EventError, match="arrow"):
        decode(written(columns, {**batch.schema.metadata, b"exposure_id": factor}), "exposure")


def test_what_readers_would_refuse_is_written_row_by_row() -> None:
    assert pays(1 << 16, 20) and not pays(1 << 16, MAX_CELLS // (1 << 16) + 1) and not pays((1 << 16) + 1, 2)
    assert "exposure_id" in schema_of(encode(slates(70_000))).names


NUMBERS = np.array([0.0, -0.0, 0.5, 0.1, np.nan, np.inf, 1e300, 1 << 24, (1 << 24) + 1])
QUIET, SIGNALLING, LONG = (np.array([one]).view(np.float64) for one in (0x7FF8 << 48, 0x7FF4 << 48, (0x7FF8 << 48) + 1))


@pytest.mark.parametrize("column", [*NUMBERS[:, None], NUMBERS, NUMBERS[:3], QUIET, -QUIET, SIGNALLING, LONG], ids=str)
def test_single_precision_is_taken_exactly_where_it_gives_the_same_bits_back(column: np.ndarray) -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        back = column.astype(np.float32).astype(np.float64)
    assert kernels.are_single(column, column.view(np.int64)) == (bits(back) == bits(column))


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64"])
@pytest.mark.parametrize("seed", range(5))
def test_runs_are_found_and_held_as_row_by_row(dtype: str, seed: int) -> None:
    draw = np.random.default_rng(seed)
    request = np.repeat(draw.integers(0, 9, 40), draw.integers(1, 9, 40))
    changes = np.flatnonzero(np.diff(request)) + 1
    ends = np.empty(len(request), dtype=np.int32)
    n = kernels.find_ends(request, ends)
    assert ends[:n].tolist() == [*changes.tolist(), len(request)]
    assert kernels.find_ends(request, ends[: n - 1].copy()) == 0
    column = np.repeat(draw.integers(-100, 100, n), np.diff(ends[:n], prepend=0)).astype(dtype)
    assert kernels.hold(column, ends[:n]) and kernels.bounds(column) == (column.min(), column.max())
    assert expanded("a", ends[:n], column[ends[:n] - 1], len(column)).tolist() == column.tolist()
    inside = int(np.flatnonzero(np.diff(request) == 0)[seed])
    column[inside] += 1
    assert not kernels.hold(column, ends[:n])


@pytest.mark.parametrize(
    "ends, values", [([], []), ([2, 2, 3], [1, 2, 3]), ([3], [1, 2]), ([2], [1]), ([4], [1]), ([-1, 3], [1, 2])]
)
def test_ends_that_do_not_make_the_rows_are_refused(ends: list[int], values: list[int]) -> None:
    for column in (np.array(values, dtype=np.int32), np.array(values, dtype=object)):
        with pytest.raises(EventError, match="a: its runs do not make 3 rows"):
            expanded("a", np.array(ends, dtype=np.int16), column, 3)


def test_a_record_without_a_column_says_how_many_rows_it_has_and_others_do_not() -> None:
    same = {name: constant(3, 400, np.int64) for name in ("exposure_id", "event_time_ms", "click_time_ms")}
    for columns, rows in ((same, 400), (same | {"exposure_id": np.arange(400)}, None)):
        clicks = ClickBatch(**columns)
        assert json.loads(schema_of(encode(clicks)).metadata[b"constants"]).get("rows") == rows
        assert same_columns(clicks, decode(encode(clicks), "click"))
