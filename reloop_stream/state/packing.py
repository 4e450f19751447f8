"""State as bytes: arrays as safetensors, everything else as JSON. Loading them can never run code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from reloop_stream.errors import StateError

__all__ = ["pack", "part_of", "prefixed", "unpack"]

FORMAT_VERSION = 1  # raised by one when the layout of the JSON beside the arrays changes
META_KEY = "reloop_stream"
LENGTH_BYTES = 8  # safetensors begins with the length of its header, a little-endian integer of 8 bytes


def pack(meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> bytes:
    """The same mapping and arrays give the same bytes.

    >>> unpack(pack({"a": 1}, {"x": np.arange(2)}))
    ({'a': 1}, {'x': array([0, 1])})
    """
    text = json.dumps({"format_version": FORMAT_VERSION, "meta": meta}, sort_keys=True)
    # One key: the order of several is not fixed by the format.
    return bytes(
        save({name: np.asarray(array, order="C") for name, array in arrays.items()}, metadata={META_KEY: text})
    )


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
