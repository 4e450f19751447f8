"""State as bytes: the format is safetensors', and nothing in it is lost."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import load

from reloop_stream.state.packing import TYPES, pack, packed, unpack

ARRAYS: dict[str, np.ndarray] = {
    **{str(dtype): np.ones(2, dtype=dtype) for dtype in TYPES},
    "empty": np.zeros((0, 4)),
    "one number": np.array(0.5, dtype=np.float32),
    "turned": np.arange(6).reshape(2, 3).T,
    "every second": np.arange(10, dtype=np.int32)[::2],
    'a "name" ü': np.array([True, False, True]),
}


def test_safetensors_reads_what_is_packed_and_every_array_is_aligned() -> None:
    data = pack({"a": [1, "ü"]}, ARRAYS)
    assert {name: array.tolist() for name, array in load(data).items()} == {
        name: array.tolist() for name, array in ARRAYS.items()
    }
    meta, arrays = unpack(data)
    assert meta == {"a": [1, "ü"]}
    assert all(arrays[name].dtype == array.dtype for name, array in ARRAYS.items())
    head, *_ = packed({}, ARRAYS)
    placed = json.loads(bytes(head[8:]))
    assert not any(placed[name]["data_offsets"][0] % arrays[name].itemsize for name in ARRAYS) and not len(head) % 8


def test_an_array_that_is_contiguous_is_not_copied() -> None:
    array = np.arange(4.0)
    _, part = packed({}, {"x": array})
    assert np.shares_memory(np.frombuffer(part, dtype=np.float64), array)


def test_an_array_of_a_type_that_the_format_lacks_is_named() -> None:
    with pytest.raises(TypeError, match="texts: an array of object"):
        pack({}, {"texts": np.array(["a"], dtype=object)})
