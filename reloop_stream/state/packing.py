"""Bytes of snapshots and checkpoints: arrays as safetensors, everything else as JSON. Loading them can never run code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from reloop_stream.errors import SnapshotError

__all__ = ["pack", "unpack"]

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
    """What `pack` was given. Raises SnapshotError on any other bytes."""
    try:
        arrays = load(data)
        length = int.from_bytes(data[:LENGTH_BYTES], "little")
        header = json.loads(data[LENGTH_BYTES : LENGTH_BYTES + length])
        text = json.loads(header["__metadata__"][META_KEY])
        version, meta = text["format_version"], text["meta"]
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise SnapshotError(f"snapshot: {len(data)} bytes that are no snapshot of this program ({error})") from None
    if version != FORMAT_VERSION:
        raise SnapshotError(f"snapshot: format version {version!r}, this program reads {FORMAT_VERSION}")
    return meta, arrays
