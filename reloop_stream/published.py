"""Published versions as snapshots that describe themselves: enough to score with, without anything else at hand.

A snapshot holds the model's tensors, the learner's settings and the fields, and how far in the stream it had learnt. It
goes to a folder, a file a version, and to a topic, in parts. The tensors lie in it under their own names, so that any
tool that reads safetensors shows them. Reading one checks everything and can never run code: a model that a plugin adds
is built by the plugin that this process has loaded, or not at all.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from dataclasses import fields as dataclass_fields
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec
import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from reloop_stream.config import FieldConfig, LearnerConfig
from reloop_stream.errors import OffsetOutOfRange, SnapshotError
from reloop_stream.events import Column, ListColumn
from reloop_stream.learners import freeze_from_bytes
from reloop_stream.learners.base import FrozenModel
from reloop_stream.log import EventLog, Partition, Producer, Reader, Record
from reloop_stream.state.files import write_atomic
from reloop_stream.state.packing import pack, unpack
from reloop_stream.worker import Published

__all__ = [
    "FolderOfSnapshots",
    "Snapshot",
    "SnapshotPublisher",
    "SnapshotSource",
    "TopicOfSnapshots",
    "load_snapshot",
    "read_snapshot",
    "snapshot_bytes",
    "snapshot_file",
    "snapshot_versions",
]

logger = logging.getLogger(__name__)

SUFFIX = ".safetensors"
KIND = "snapshot"
# Below the 1 MiB that a broker takes by default, headers included: the topic needs no setting of its own.
PART_BYTES = 900 << 10
LOOK_BACK = 64  # records before the end of a topic where the newest version is looked for first
POLL_S = 0.05  # how long a look for newer versions waits where there is nothing new
SILENCE_S = 2.0  # without a record: nothing more will come from where there should be some


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
    meta, arrays = unpack(data)
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


def snapshot_file(folder: Path, learner: str, version: int) -> Path:
    """Where a version lies in a folder. Raises ValueError for a name that is unfit for a file's."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", learner):
        raise ValueError(f"learner: got {learner!r}, its name must be of letters, digits, _ . and -")
    return folder / f"{learner}-{version:08d}{SUFFIX}"


def snapshot_versions(folder: Path) -> Iterator[tuple[str, int, Path]]:
    """Learner, version and path of every snapshot in the folder, newest first."""
    found = []
    for path in folder.glob(f"*{SUFFIX}"):
        learner, dash, version = path.stem.rpartition("-")
        if dash and learner and version.isdigit():
            found.append((learner, int(version), path))
    yield from sorted(found, key=lambda one: one[1], reverse=True)


class SnapshotPublisher:
    """Writes each version of a learner to a folder, to a topic, or to both.

    folder: gets FOLDER/<learner>-<version>.safetensors, whole or not at all; of older files the newest `keep` stay.
    log, topic: the same bytes go to partition 0 of the topic in parts, whose headers say of which version they are. On
    the embedded log a partition has one producer at a time, so there nothing else may write to it.

    Publishing a version again, as a learner does that was killed before its checkpoint, changes nothing for readers.
    """

    def __init__(
        self,
        config: LearnerConfig,
        fields: Sequence[FieldConfig],
        *,
        folder: Path | None = None,
        log: EventLog | None = None,
        topic: str | None = None,
        keep: int = 5,
    ) -> None:
        if keep < 1:
            raise ValueError(f"keep: got {keep}, must be >= 1")
        self._config = config
        self._fields = list(fields)
        self._folder = folder
        self._log = log
        self._topic = topic
        self._keep = keep
        self._producer: Producer | None = None

    def publish(self, published: Published) -> None:
        """Return when readers can see the version. Raises OSError naming the file, LogError."""
        data = snapshot_bytes(published, self._config, self._fields)
        if self._folder is not None:
            write_atomic(snapshot_file(self._folder, published.learner, published.version), data)
            self._forget_old(self._folder, published)
        if self._log is not None and self._topic is not None:
            self._append(self._log, Partition(self._topic, 0), published, data)

    def _forget_old(self, folder: Path, published: Published) -> None:
        older = [p for learner, version, p in snapshot_versions(folder)
                 if learner == published.learner and version <= published.version]  # fmt: skip
        for path in older[self._keep :]:
            path.unlink(missing_ok=True)

    def _append(self, log: EventLog, place: Partition, published: Published, data: bytes) -> None:
        if self._producer is None:
            self._producer = log.producer()
        starts, sha256 = range(0, len(data), PART_BYTES), hashlib.sha256(data).hexdigest()
        for number, at in enumerate(starts):
            part = _Part(published.learner, published.version, number, len(starts), sha256)
            self._producer.append(
                place, data[at : at + PART_BYTES], key=published.learner.encode(), headers=part.headers()
            )
        self._producer.flush()

    def close(self) -> None:
        if self._producer is not None:
            self._producer.close()


@dataclass(frozen=True)
class _Part:
    """Which part of which version a record holds."""

    learner: str
    version: int
    part: int  # from 0
    parts: int
    sha256: str  # of the whole snapshot

    def headers(self) -> dict[str, bytes]:
        return {"kind": KIND.encode(), **{name: str(value).encode() for name, value in asdict(self).items()}}

    @classmethod
    def of(cls, record: Record) -> _Part | None:
        """None for a record that is no part of a snapshot. Raises SnapshotError where its headers are incomplete."""
        if record.headers.get("kind") != KIND.encode():
            return None
        names = [field.name for field in dataclass_fields(cls)]
        try:
            return msgspec.convert({name: record.headers[name].decode() for name in names}, cls, strict=False)
        except (KeyError, UnicodeDecodeError, msgspec.ValidationError) as error:
            raise SnapshotError(f"its headers do not say which part it is ({error})") from None


class SnapshotSource(Protocol):
    """Where published versions come from: a folder or a topic."""

    def newest(self, after: int) -> tuple[Snapshot, FrozenModel] | None:
        """The newest version above `after` that can be used, and its model; None where there is none.

        A version that is damaged, incomplete or unknown is passed over, with a line in the log the first time.
        Raises LogUnavailable, SnapshotError where several learners publish here and none was named.
        """

    def close(self) -> None: ...


class FolderOfSnapshots:
    """Reads the versions that a learner publishes to a folder.

    learner: whose versions; may be left out where one learner alone publishes there.
    """

    def __init__(self, folder: Path, learner: str | None = None) -> None:
        self._folder = folder
        self._learner = learner
        self._passed_over: set[tuple[Path, int]] = set()  # with the time of writing: it may be written anew

    def newest(self, after: int) -> tuple[Snapshot, FrozenModel] | None:
        found = list(snapshot_versions(self._folder))
        learner = _the_one(self._learner, {name for name, _, _ in found}, str(self._folder))
        for name, version, path in found:
            if name != learner or version <= after:
                continue
            try:
                written = path.stat().st_mtime_ns
                if (path, written) in self._passed_over:
                    continue
                snapshot = load_snapshot(path)
                return snapshot, snapshot.model()
            except FileNotFoundError:  # an old one, removed meanwhile
                continue
            except SnapshotError as error:
                self._passed_over.add((path, written))
                logger.warning("%s: %s; passed over", path, str(error).removeprefix(f"{path}: "))
        return None

    def close(self) -> None: ...


def load_snapshot(path: Path) -> Snapshot:
    """The snapshot in a file. Raises SnapshotError naming a damaged or foreign file, FileNotFoundError."""
    try:
        return read_snapshot(path.read_bytes())
    except SnapshotError as error:
        raise SnapshotError(f"{path}: {error}") from None


def _the_one(wanted: str | None, found: set[str], place: str) -> str | None:
    if wanted is None and len(found) > 1:
        raise SnapshotError(f"{place}: several learners publish there ({', '.join(sorted(found))}); say which")
    return wanted or next(iter(found), None)


class TopicOfSnapshots:
    """Reads the versions that a learner publishes to a topic. Reading begins at the newest of them.

    A topic keeps what its retention says; other records in it (announcements, say) are passed over.
    """

    def __init__(self, log: EventLog, topic: str, learner: str | None = None) -> None:
        self._log = log
        self._topic = topic
        self._learner = learner
        self._reader: Reader | None = None
        self._assembly = _Assembly(topic)

    def newest(self, after: int) -> tuple[Snapshot, FrozenModel] | None:
        try:
            whole = self._begin() if self._reader is None else self._read(self._reader)
        except OffsetOutOfRange:  # what was next has gone by retention
            self.close()
            whole = self._begin()
        learner = _the_one(self._learner, {name for name, _ in whole}, self._topic)
        for (name, version), data in sorted(whole.items(), key=lambda one: one[0][1], reverse=True):
            if name != learner or version <= after:
                continue
            try:
                snapshot = read_snapshot(data)
                return snapshot, snapshot.model()
            except SnapshotError as error:
                logger.warning("%s: version %d of %s: %s; passed over", self._topic, version, name, error)
        return None

    def _begin(self) -> dict[tuple[str, int], bytes]:
        """Read the end of the topic, as much as it takes to find a whole version."""
        partitions = self._log.partitions(self._topic)
        begin, end = self._log.begin_offsets(partitions), self._log.end_offsets(partitions)
        back = LOOK_BACK
        while True:
            start = {partition: max(begin[partition], end[partition] - back) for partition in partitions}
            self._assembly = _Assembly(self._topic)
            self._reader = self._log.reader(start)
            whole = self._read(self._reader, end)
            if start == begin or any(self._learner in (None, name) for name, _ in whole):
                return whole
            self.close()
            back *= 8

    def _read(self, reader: Reader, end: Mapping[Partition, int] | None = None) -> dict[tuple[str, int], bytes]:
        """The versions, by learner and number, that are complete with what can be read by now, or up to `end`."""
        whole = {}
        while end is None or any(at < end[partition] for partition, at in reader.position().items()):
            # Where offsets have gaps, the position may never come to the end: a silence ends the reading too.
            records = reader.poll(POLL_S if end is None else SILENCE_S)
            if not records:
                break
            for part, data in filter(None, map(self._assembly.add, records)):
                whole[part.learner, part.version] = data
        return whole

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None


class _Assembly:
    """Puts the parts of versions together: of each learner one version at a time, its parts in order."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._begun: dict[str, tuple[_Part, list[bytes]]] = {}  # by learner: the next part, those that have come

    def add(self, record: Record) -> tuple[_Part, bytes] | None:
        """The last part of a version and the whole of it, when this record completes one."""
        try:
            part = _Part.of(record)
        except SnapshotError as error:
            logger.warning("%s offset %d: %s; passed over", self._topic, record.offset, error)
            return None
        if part is None:
            return None
        expected, values = self._begun.pop(part.learner, (replace(part, part=0), []))
        if part != expected:
            if values:
                logger.warning("%s: version %d of %s has %d of its %d parts and then others; passed over",
                               self._topic, expected.version, part.learner, len(values), expected.parts)  # fmt: skip
            if part.part != 0:  # reading began, or a gap ended, in the middle of a version
                return None
            values = []
        values.append(record.value)
        if len(values) < part.parts:
            self._begun[part.learner] = replace(part, part=len(values)), values
            return None
        data = b"".join(values)
        if hashlib.sha256(data).hexdigest() != part.sha256:
            logger.warning("%s: version %d of %s is damaged (its digest differs); passed over",
                           self._topic, part.version, part.learner)  # fmt: skip
            return None
        return part, data
