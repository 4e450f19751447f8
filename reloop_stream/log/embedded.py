"""The embedded log: Kafka's semantics on files, for one machine, without a broker. A partition's files: `partition_files`."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Self

from reloop_stream.errors import LogError, UnknownTopic
from reloop_stream.log.base import Partition, Record
from reloop_stream.log.partition_files import PartitionFolder, PartitionReader, PartitionWriter

__all__ = ["EmbeddedLog"]

SEGMENT_BYTES = 16 << 20  # retention drops whole segments: small against a window, large against a record
IDLE_S = 0.001  # between two looks at a partition that has nothing new


class _Producer:
    def __init__(self, log: EmbeddedLog) -> None:
        self._log = log
        self._writers: dict[Partition, PartitionWriter] = {}

    def append(
        self,
        partition: Partition,
        value: bytes,
        *,
        key: bytes | None = None,
        headers: Mapping[str, bytes] | None = None,
        more: bool = False,
    ) -> None:
        writer = self._writers.get(partition)
        if writer is None:
            writer = self._writers[partition] = PartitionWriter(self._log._folder(partition), self._log._segment_bytes)
        writer.append(key, value, headers)

    def flush(self) -> None:
        """Nothing waits: every append was written when it returned."""

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()


class _Reader:
    def __init__(self, readers: Mapping[Partition, PartitionReader]) -> None:
        self._readers = dict(readers)
        self._paused: Collection[Partition] = ()

    def pause(self, partitions: Collection[Partition]) -> None:
        self._paused = frozenset(partitions)

    def poll(self, timeout_s: float = 0.0, max_records: int = 5000) -> list[Record]:
        deadline = time.monotonic() + timeout_s
        while True:
            records: list[Record] = []
            for partition, reader in self._readers.items():
                if len(records) < max_records and partition not in self._paused:
                    records += reader.read(max_records - len(records))
            if records or time.monotonic() >= deadline:
                break
            time.sleep(IDLE_S)
        # The next poll begins with another partition, so that a busy one keeps none from being read.
        if self._readers:
            first = next(iter(self._readers))
            self._readers[first] = self._readers.pop(first)
        return records

    def position(self) -> dict[Partition, int]:
        return {partition: reader.cursor.offset for partition, reader in self._readers.items()}

    def close(self) -> None:
        for reader in self._readers.values():
            reader.close()


class EmbeddedLog:
    """A log in a folder: `<folder>/<topic>/<partition>/<first offset>.log`.

    segment_bytes: size at which a segment is full.
    """

    def __init__(self, folder: Path, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._root = folder
        self._segment_bytes = segment_bytes

    def _folder(self, partition: Partition) -> PartitionFolder:
        path = self._root / partition.topic / str(partition.number)
        if not path.is_dir():
            raise UnknownTopic(f"{self._root}: has no {partition.topic}[{partition.number}]; create its topic first")
        return PartitionFolder(partition, path)

    def create_topics(self, partitions: Mapping[str, int], *, kept: bool = False) -> None:
        self._root.mkdir(parents=True, exist_ok=True)
        for topic, n in partitions.items():
            path = self._root / topic
            if path.exists():
                if (found := len(self.partitions(topic))) != n:
                    raise LogError(f"{path}: exists with {found} partitions, asked for {n}; use another prefix")
                continue
            temporary = self._root / f".{topic}.{os.getpid()}.tmp"
            shutil.rmtree(temporary, ignore_errors=True)
            for number in range(n):
                (temporary / str(number)).mkdir(parents=True)
            temporary.rename(path)

    def topic_ids(self, topics: Iterable[str]) -> dict[str, str]:
        return {topic: "" for topic in topics if (self._root / topic).is_dir()}

    def producer(self) -> _Producer:
        return _Producer(self)

    def reader(self, offsets: Mapping[Partition, int]) -> _Reader:
        return _Reader({p: PartitionReader(self._folder(p), offset) for p, offset in offsets.items()})

    def partitions(self, topic: str) -> list[Partition]:
        path = self._root / topic
        if not path.is_dir():
            raise UnknownTopic(f"{self._root}: has no topic {topic}; create it first")
        return [Partition(topic, number) for number in sorted(int(name) for name in os.listdir(path))]

    def begin_offsets(self, partitions: Sequence[Partition]) -> dict[Partition, int]:
        return {partition: self._folder(partition).begin() for partition in partitions}

    def end_offsets(self, partitions: Sequence[Partition]) -> dict[Partition, int]:
        return {partition: self._folder(partition).end().offset for partition in partitions}

    def max_record_bytes(self, topic: str) -> int | None:
        return None

    def delete_before(self, offsets: Mapping[Partition, int]) -> None:
        for partition, offset in offsets.items():
            folder = self._folder(partition)
            bases = folder.bases()
            for base, following in pairwise(bases):
                if following <= offset:
                    try:
                        folder.segment(base).unlink(missing_ok=True)
                    except PermissionError:
                        if os.name != "nt":  # where a reader that has it open keeps it until the next call
                            raise

    def delete_topics(self, topics: Iterable[str]) -> None:
        for topic in topics:
            shutil.rmtree(self._root / topic, ignore_errors=True)

    def commit(self, group: str, offsets: Mapping[Partition, int]) -> None:
        folder = self._root / ".groups"
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps([[p.topic, p.number, offset] for p, offset in offsets.items()])
        temporary = folder / f".{group}.{os.getpid()}.tmp"
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(folder / f"{group}.json")

    def close(self) -> None:
        """Nothing is held."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
