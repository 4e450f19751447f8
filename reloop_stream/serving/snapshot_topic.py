"""Snapshots in a topic, in parts, and reading the newest of them."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from dataclasses import fields as dataclass_fields

import msgspec

from reloop_stream.errors import OffsetOutOfRange, SnapshotError
from reloop_stream.learners.base import FrozenModel
from reloop_stream.log import EventLog, Partition, Reader, Record
from reloop_stream.serving.snapshot import KIND, Published, Snapshot, read_snapshot, the_one_learner

__all__ = ["TopicOfSnapshots", "snapshot_parts"]

logger = logging.getLogger(__name__)

# Below the 1 MiB that a broker takes by default, headers included: the topic needs no setting of its own.
PART_BYTES = 900 << 10
LOOK_BACK = 64  # records before the end of a topic where the newest version is looked for first
POLL_S = 0.05  # how long a look for newer versions waits where there is nothing new


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
        """None for a record that is no part of a snapshot, or a tombstone of one. Raises SnapshotError where its headers
        are incomplete."""
        if record.headers.get("kind") != KIND.encode() or not record.value:
            return None
        names = [field.name for field in dataclass_fields(cls)]
        try:
            return msgspec.convert({name: record.headers[name].decode() for name in names}, cls, strict=False)
        except (KeyError, UnicodeDecodeError, msgspec.ValidationError) as error:
            raise SnapshotError(f"its headers do not say which part it is ({error})") from None


def snapshot_parts(published: Published, data: bytes) -> Iterator[tuple[str, bytes, dict[str, bytes]]]:
    """Key, value and headers of each record that together hold a version's snapshot.

    Their keys are made so that a compacted topic keeps two versions whole, the newest and the one before: while a version
    is being written, it replaces parts of the last but one alone.
    """
    starts, sha256 = range(0, len(data), PART_BYTES), hashlib.sha256(data).hexdigest()
    for number, at in enumerate(starts):
        part = _Part(published.learner, published.version, number, len(starts), sha256)
        key = f"{published.learner}/{published.version % 2}/{number}"
        yield key, data[at : at + PART_BYTES], part.headers()


class TopicOfSnapshots:
    """Reads the versions that a learner publishes to a topic. Reading begins at the newest of them.

    A topic keeps what its retention says; other records in it (announcements, say) are passed over. Raises TypeError for
    what is no log.
    """

    def __init__(self, log: EventLog, topic: str, learner: str | None = None) -> None:
        if not callable(getattr(log, "reader", None)):
            raise TypeError(f"log: got a value of type {type(log).__name__}, must be an open log, as open_log gives it")
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
        learner = the_one_learner(self._learner, {name for name, _ in whole}, self._topic)
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
            records = reader.poll(POLL_S)
            if not records and end is None:
                break
            for part, data in filter(None, map(self._assembly.add, records)):
                whole[part.learner, part.version] = data
        return whole

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None


class _Assembly:
    """Puts the parts of versions together, in whatever order they come.

    Of a version that is not whole it keeps the parts until a newer one of its learner is: the rest may have gone by
    retention or compaction, or is still to come.
    """

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._begun: dict[_Part, dict[int, bytes]] = {}  # by version, as its part 0: the values by their number

    def add(self, record: Record) -> tuple[_Part, bytes] | None:
        """The version and its bytes, when this record completes one."""
        try:
            part = _Part.of(record)
        except SnapshotError as error:
            logger.warning("%s offset %d: %s; passed over", self._topic, record.offset, error)
            return None
        if part is None:
            return None
        version = replace(part, part=0)
        values = self._begun.setdefault(version, {})
        values[part.part] = record.value
        if len(values) < part.parts:
            return None
        data = b"".join(values[number] for number in sorted(values))
        if hashlib.sha256(data).hexdigest() != part.sha256:
            del self._begun[version]
            logger.warning("%s: version %d of %s is damaged (its digest differs); passed over",
                           self._topic, part.version, part.learner)  # fmt: skip
            return None
        self._forget_up_to(version)
        return version, data

    def _forget_up_to(self, whole: _Part) -> None:
        for version in [v for v in self._begun if v.learner == whole.learner and v.version <= whole.version]:
            values = self._begun.pop(version)
            if len(values) < version.parts:
                logger.info("%s: version %d of %s has %d of its %d parts; passed over",
                            self._topic, version.version, version.learner, len(values), version.parts)  # fmt: skip
