"""A checkpoint: model, optimiser, next offsets, join buffer and metrics as one object that is there whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from reloop_stream.errors import CheckpointError, StateError
from reloop_stream.state.files import write_atomic
from reloop_stream.state.packing import packed, part_of, prefixed, unpack

__all__ = ["Sections", "read_checkpoint", "write_checkpoint"]

CHECKPOINT_VERSION = 2  # raised by one when what a checkpoint holds changes
PACKED = "bytes"  # the array of a part that was packed before


class Sections:
    """Named parts of a checkpoint, each a JSON mapping and arrays, packed side by side.

    >>> sections = Sections()
    >>> sections.put("join", {"watermark_ms": 5}, {"clicked": np.array([True])})
    >>> Sections.from_bytes(sections.to_bytes()).get("join")
    ({'watermark_ms': 5}, {'clicked': array([ True])})
    """

    def __init__(self) -> None:
        self._meta: dict[str, Any] = {}
        self._arrays: dict[str, np.ndarray] = {}

    def put(self, name: str, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray] | None = None) -> None:
        """Add a part. The arrays are copied, for theirs may go on changing before they are written."""
        self._meta[name] = dict(meta)
        copies = {key: np.array(array, order="C") for key, array in (arrays or {}).items()}
        self._arrays |= prefixed(f"{name}/", copies)

    def put_bytes(self, name: str, data: bytes) -> None:
        """Add a part that is packed already. Nothing is copied: bytes do not change."""
        self._meta[name] = {}
        self._arrays[f"{name}/{PACKED}"] = np.frombuffer(data, dtype=np.uint8)

    def get(self, name: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """The part's mapping and arrays. Raises CheckpointError where there is none."""
        if name not in self._meta:
            raise CheckpointError(f"checkpoint: has no part {name!r}, only {sorted(self._meta)}")
        return self._meta[name], part_of(f"{name}/", self._arrays)

    def get_bytes(self, name: str) -> bytes:
        return self.get(name)[1][PACKED].tobytes()

    def __contains__(self, name: str) -> bool:
        return name in self._meta

    def packed(self) -> list[bytes | memoryview]:
        """The file's parts, one after the other. They stay as they are, whatever becomes of what was put in."""
        return packed({"checkpoint_version": CHECKPOINT_VERSION, "sections": self._meta}, self._arrays)

    def to_bytes(self) -> bytes:
        return b"".join(self.packed())

    @classmethod
    def from_bytes(cls, data: bytes) -> Sections:
        """Raises StateError where the bytes are no checkpoint, or one of another version."""
        meta, arrays = unpack(data)
        if meta.get("checkpoint_version") != CHECKPOINT_VERSION:
            raise CheckpointError(
                f"checkpoint: version {meta.get('checkpoint_version')!r}, this program reads {CHECKPOINT_VERSION}; "
                "resume with the program that wrote it, or start a new run"
            )
        sections = cls()
        sections._meta, sections._arrays = dict(meta["sections"]), dict(arrays)
        return sections


def write_checkpoint(path: Path, sections: Sections) -> None:
    """Write the checkpoint atomically. Raises OSError (disk full, say); the one before it is then still there."""
    write_atomic(path, *sections.packed())


def read_checkpoint(path: Path) -> Sections | None:
    """The checkpoint at `path`, None where there is none. Raises CheckpointError naming a damaged file."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        return Sections.from_bytes(data)
    except StateError as error:
        raise CheckpointError(f"{path}: {error}") from None
