"""What a window keeps of rows: fewer bytes, and the same rows in the same order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from reloop_stream.events import ListColumn, constant
from reloop_stream.testing import examples, same_columns
from reloop_stream.updating.base import slim
from reloop_stream.updating.packed import PackedRows
from reloop_stream.updating.window_rows import BLOCK_ROWS, Rows, WindowRows, in_batches, together

N = 1000
RNG = np.random.default_rng(3)
WORDS = np.array(["ä", "", "news", "sports"])
FEATURES: dict[str, Any] = {
    "small": RNG.integers(-3, 9, N),
    "far from zero": RNG.integers(0, 300, N) - (1 << 62),
    "whole range": np.array([-(1 << 63), (1 << 63) - 1] * (N // 2)),
    "bytes": RNG.integers(-128, 128, N).astype(np.int8),
    "unsigned": RNG.integers(0, 1 << 63, N).astype(np.uint64) * np.uint64(2),
    "one value": np.full(N, 77, dtype=np.int32),
    "constant": constant("x", N),
    "number": RNG.normal(size=N).astype(np.float32),
    "words": WORDS[RNG.integers(0, 4, N)],
    "objects": WORDS.astype(object)[RNG.integers(0, 4, N)],
    "names": np.array([f"name {i}" for i in range(N)], dtype=object),
    "list": ListColumn(RNG.integers(0, 50, 3 * N), np.arange(0, 3 * N + 1, 3), RNG.random(3 * N)),
    "words of a list": ListColumn(WORDS[RNG.integers(0, 4, N)], np.arange(N + 1)),
}


def dtypes(column: Any) -> list[np.dtype[Any]]:
    return [column.values.dtype, column.offsets.dtype] if isinstance(column, ListColumn) else [column.dtype]


@pytest.mark.parametrize("name", FEATURES)
def test_a_column_comes_back_as_it_was(name: str) -> None:
    rows = examples(N, features={name: FEATURES[name]})
    again, foreign = PackedRows(rows, np.arange(N) % 7 == 0).unpacked()
    assert same_columns(again, rows) and foreign.tolist() == (np.arange(N) % 7 == 0).tolist()
    assert dtypes(again.exposures.features[name]) == dtypes(FEATURES[name])


def test_weights_and_ids_that_a_loss_groups_by_come_back_too() -> None:
    shown = examples(N, weight=RNG.random(N)).exposures
    rows = replace(examples(N), exposures=shown)
    again, foreign = PackedRows(rows, constant(False, N)).unpacked()
    assert same_columns(again, rows) and not foreign.any()


def test_a_slim_row_of_a_feed_takes_thirty_bytes() -> None:
    features = {
        "user_id": RNG.integers(0, 600_000, N).astype(np.int32),
        "item_id": RNG.integers(0, 5000, N).astype(np.int32),
        **{name: RNG.integers(0, 20, N).astype(np.int32) for name in ("age", "region", "device", "hour", "topic", "bucket")},
    }  # fmt: skip
    packed = PackedRows(slim(examples(N, features=features)), constant(False, N))
    assert 20 * N < packed.nbytes < 31 * N


def ticks(n: int, rows: int) -> list[Rows]:
    """n hours of rows, each of which knows its number; every fifth is foreign."""
    number = np.arange(n * rows).reshape(n, rows)
    made = [examples(rows, seed=tick, at_ms=tick * 3_600_000, features={"row": number[tick]}) for tick in range(n)]
    return [(slim(batch), of % 5 == 0) for batch, of in zip(made, number, strict=True)]


def test_a_window_gives_its_rows_in_order_however_they_came() -> None:
    made = ticks(6, BLOCK_ROWS // 2 + 7)  # blocks of two, and two that are loose
    window = WindowRows()
    for tick in made[:5]:
        window.add(tick)
    assert window.nbytes > 0
    for until, last in ((-1, 5), (int(made[2][0].label_time_ms[99]), 6)):  # in the middle of a block
        if last == 6:
            window.add(made[5])
        window.forget(until)
        whole, foreign = together(made[:last])
        kept = whole.label_time_ms > until
        for _ in range(2):  # reading changes nothing
            found, found_foreign = together(list(window))
            assert same_columns(found, whole.take(kept)) and (found_foreign == foreign[kept]).all()
    window.forget(1 << 60)
    assert not list(window) and window.nbytes == 0


@pytest.mark.parametrize("size", [1, 7, 40, 100, 1000])
def test_batches_are_cut_by_count_whatever_the_parts(size: int) -> None:
    made = ticks(5, 33)
    whole, foreign = together(made)
    batches = list(in_batches([made[0], *ticks(0, 0), together(made[1:3]), *made[3:]], size))
    assert [len(batch) for batch, _ in batches[:-1]] == [size] * (len(batches) - 1)
    found, found_foreign = together(batches)
    assert same_columns(found, whole) and (found_foreign == foreign).all()
