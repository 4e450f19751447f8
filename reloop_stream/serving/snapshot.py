"""Published versions as snapshots that describe themselves: enough to score with, without anything else at hand.

A snapshot holds the model's tensors, the learner's settings and the fields, and how far in the stream it had learnt. It
goes to a folder, a file a version, and to a topic, in parts. The tensors lie in it under their own names, so that any
tool that reads safetensors shows them. Reading one checks everything and can never run code: a model that a plugin adds
is built by the plugin that this process has loaded, or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from reloop_stream.config import FieldConfig, LearnerConfig
from reloop_stream.errors import SnapshotError, StateError
from reloop_stream.events import Column, ListColumn
from reloop_stream.learners import freeze_from_bytes
from reloop_stream.learners.base import FrozenModel
from reloop_stream.state.packing import pack, unpack

__all__ = ["Published", "Snapshot", "SnapshotSource", "read_snapshot", "snapshot_bytes", "the_one_learner"]

KIND = "snapshot"


class _Header(BaseModel):
    """What a snapshot says of itself beside its tensors."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["snapshot"]
    learner: str
    version: int = Field(ge=0)
    tick: int
    watermark_ms: int
    config: LearnerConfig
    fields: tuple[FieldConfig, ...]
    model: dict[str, Any]


@dataclass(frozen=True)
class Snapshot:
    """A published version as its bytes describe it.

    tick, watermark_ms: the last tick that it may have learnt from, and where that ended in event time.
    meta, arrays: what the model's own `to_bytes` packed.
    """

    learner: str
    version: int
    tick: int
    watermark_ms: int
    config: LearnerConfig
    fields: tuple[FieldConfig, ...]
    meta: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]

    def model(self) -> FrozenModel:
        """Build the model and try it on blank rows, so that what it compiles on its first call is compiled.

        Raises SnapshotError where the tensors are not those of the settings, or not finite.
        """
        if broken := [name for name, a in self.arrays.items() if a.dtype.kind == "f" and not np.isfinite(a).all()]:
            raise SnapshotError(f"its tensor {broken[0]} holds numbers that are not finite: its learner has diverged")
        try:
            model = freeze_from_bytes(pack(self.meta, self.arrays), self.fields, self.config)
            model.predict(_blank_rows(self.fields))
        except Exception as error:  # a plugin's model may raise anything
            raise SnapshotError(f"its model cannot be built: {type(error).__name__}: {error}") from error
        if model.version != self.version:
            raise SnapshotError(f"is of version {self.version}, its model says {model.version}")
        return model


def _blank_rows(fields: Sequence[FieldConfig]) -> dict[str, Column]:
    """Two rows that any model on these fields can score."""
    zeros = np.zeros(2, dtype=np.int64)
    return {field.name: ListColumn(zeros, np.arange(3)) if field.kind == "list" else zeros for field in fields}


def snapshot_bytes(published: Published, config: LearnerConfig, fields: Sequence[FieldConfig]) -> bytes:
    """The self-describing snapshot of a version. The same version gives the same bytes."""
    meta, arrays = unpack(published.model.to_bytes())
    header = {
        "kind": KIND,
        "learner": published.learner,
        "version": published.version,
        "tick": published.tick,
        "watermark_ms": published.watermark_ms,
        "config": config.model_dump(mode="json"),
        "fields": [field.model_dump(mode="json") for field in fields],
        "model": meta,
    }
    return pack(header, arrays)


def read_snapshot(data: bytes) -> Snapshot:
    """The snapshot in the bytes. Raises SnapshotError where they are none, or its model or loss is not known here."""
    try:
        meta, arrays = unpack(data)
    except StateError as error:
        raise SnapshotError(f"snapshot: {error}") from None
    try:
        header = _Header.model_validate(meta)
    except ValidationError as error:
        raise SnapshotError(_explained(error)) from None
    return Snapshot(
        header.learner,
        header.version,
        header.tick,
        header.watermark_ms,
        header.config,
        header.fields,
        header.model,
        arrays,
    )


def _explained(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    where = first["loc"]
    if where == ("kind",):
        return "snapshot: is not a published version (a checkpoint, or a model without its settings?)"
    if where in (("config", "model", "name"), ("config", "loss", "name")) and isinstance(first["input"], str):
        what = where[1]
        return (
            f"snapshot: its {what} {first['input']!r} is none of this package's {what}s; "
            f"load the file that adds it first (--plugin FILE, or reloop_stream.plugins.load)"
        )
    return f"snapshot: {'.'.join(map(str, where))}: {first['msg']}"


class SnapshotSource(Protocol):
    """Where published versions come from: a folder or a topic."""

    def newest(self, after: int) -> tuple[Snapshot, FrozenModel] | None:
        """The newest version above `after` that can be used, and its model; None where there is none.

        A version that is damaged, incomplete or unknown is passed over, with a line in the log the first time.
        Raises LogUnavailable, SnapshotError where several learners publish here and none was named.
        """

    def close(self) -> None: ...


def the_one_learner(wanted: str | None, found: set[str], place: str) -> str | None:
    """Whose snapshots to read: the wanted learner's, or those of the only one that was found.

    Raises SnapshotError where there are several and none was named.
    """
    if wanted is None and len(found) > 1:
        raise SnapshotError(f"{place}: several learners publish there ({', '.join(sorted(found))}); say which")
    return wanted or next(iter(found), None)


class Published(NamedTuple):
    """A model version that a worker hands to serving."""

    learner: str
    version: int
    tick: int  # the last tick whose examples it may have learnt from
    watermark_ms: int  # where that tick ended, in event time
    model: FrozenModel
    learnt_ms: int | None = None  # label time of the newest example that it has learnt; None: never, or not known
