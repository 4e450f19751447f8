"""State as bytes: arrays as safetensors, everything else as JSON. Loading them can never run code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load

from reloop_stream.errors import StateError

__all__ = ["pack", "packed", "part_of", "prefixed", "unpack"]

FORMAT_VERSION = 1  # raised by one when the layout of the JSON beside the arrays changes
META_KEY = "reloop_stream"
LENGTH_BYTES = 8  # safetensors begins with the length of its header, a little-endian integer of 8 bytes
ALIGNMENT = 8  # and pads it with spaces


# Of safetensors, widest first: in this order every array lies where its values are aligned.
TYPES = {
    np.dtype(name): code
    for name, code in {
        "uint64": "U64", "int64": "I64", "float64": "F64", "complex64": "C64", "float32": "F32", "uint32": "U32", "int32": "I32",
        "float16": "F16", "uint16": "U16", "int16": "I16", "int8": "I8", "uint8": "U8", "bool": "BOOL",
    }.items()
}  # fmt: skip
RANK = {dtype: rank for rank, dtype in enumerate(TYPES)}


def packed(meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> list[bytes | memoryview]:
    """What `pack` joins: a head, and each array's bytes, which are the array's own where it is contiguous.

    safetensors' own `save` copies each array twice, and one that lies in another packed mapping twice more.
    Raises TypeError for an array of a type that the format lacks.
    """
    text = json.dumps({"format_version": FORMAT_VERSION, "meta": meta}, sort_keys=True)
    head: dict[str, Any] = {"__metadata__": {META_KEY: text}}
    parts: list[bytes | memoryview] = []
    end = 0
    named = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    for name in named:
        if named[name].dtype not in TYPES:
            raise TypeError(f"{name}: an array of {named[name].dtype}, of which state cannot be")
    for name in sorted(named, key=lambda name: (RANK[named[name].dtype], name)):
        array = named[name]
        begin, end = end, end + array.nbytes
        head[name] = {"dtype": TYPES[array.dtype], "shape": array.shape, "data_offsets": [begin, end]}
        parts.append(array.reshape(-1).view(np.uint8).data)
    encoded = json.dumps(head, separators=(",", ":"), ensure_ascii=False).encode()
    encoded += b" " * (-len(encoded) % ALIGNMENT)
    return [len(encoded).to_bytes(LENGTH_BYTES, "little") + encoded, *parts]


def pack(meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> bytes:
    """The same mapping and arrays give the same bytes.

    >>> unpack(pack({"a": 1}, {"x": np.arange(2)}))
    ({'a': 1}, {'x': array([0, 1])})
    """
    return b"".join(packed(meta, arrays))


def unpack(data: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What `pack` was given. Raises StateError on any other bytes."""
    try:
        arrays = load(data)
        length = int.from_bytes(data[:LENGTH_BYTES], "little")
        header = json.loads(data[LENGTH_BYTES : LENGTH_BYTES + length])
        text = json.loads(header["__metadata__"][META_KEY])
        version, meta = text["format_version"], text["meta"]
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise StateError(f"{len(data)} bytes that hold no state of this program ({error})") from None
    if version != FORMAT_VERSION:
        raise StateError(f"state: format version {version!r}, this program reads {FORMAT_VERSION}")
    return meta, arrays


def prefixed(prefix: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays under names that begin with the prefix, to lie beside those of others.

    >>> list(part_of("a.", prefixed("a.", {"x": np.arange(2)}) | prefixed("b.", {"y": np.arange(3)})))
    ['x']
    """
    return {prefix + name: array for name, array in arrays.items()}


def part_of(prefix: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What `prefixed` was given, out of arrays among which it lies."""
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
