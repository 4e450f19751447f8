"""One partition of the embedded log as files: a folder of segments, each named by the offset of its first record, of frames.

A record is one frame, written by one system call: what was appended survives kill -9, and a frame cut short by it is cut off by
the next writer. Readers in other processes see a record as soon as it is appended, without a lock.
"""

from __future__ import annotations

import contextlib
import errno
import os
import struct
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from reloop_stream.errors import LogError, OffsetOutOfRange
from reloop_stream.log.base import Partition, Record
from reloop_stream.runtime.descriptors import open_file, read_at, try_lock, write_at

__all__ = ["PartitionFolder", "PartitionReader", "PartitionWriter"]

# A frame: a head of (body length, CRC of the body, offset, CRC of the head so far), then the body.
HEAD = struct.Struct("<IIqI")
HEAD_CHECKED = HEAD.size - 4  # the bytes of the head that its own CRC covers
LENGTH = struct.Struct("<i")
NO_KEY = -1

READ_BYTES = 1 << 20  # one read: a dozen arrow records of a thousand rows
LOCK_PATIENCE_S = 10.0  # how long the processes of a killed run may take to die and let go of their partitions


def _encode_body(key: bytes | None, value: bytes, headers: Mapping[str, bytes] | None) -> list[bytes]:
    parts = [LENGTH.pack(NO_KEY if key is None else len(key)), key or b"", LENGTH.pack(len(headers or {}))]
    for name, content in (headers or {}).items():
        encoded = name.encode()
        parts += [LENGTH.pack(len(encoded)), encoded, LENGTH.pack(len(content)), content]
    return [*parts, value]


def _decode_body(partition: Partition, offset: int, body: memoryview) -> Record:
    at = 0

    def take(length: int) -> bytes:
        nonlocal at
        at += length
        return bytes(body[at - length : at])

    def length() -> int:
        nonlocal at
        at += LENGTH.size
        return int(LENGTH.unpack_from(body, at - LENGTH.size)[0])

    key_length = length()
    key = None if key_length == NO_KEY else take(key_length)
    headers = {}
    for _ in range(length()):
        name = take(length()).decode()
        headers[name] = take(length())
    return Record(partition, offset, key, bytes(body[at:]), headers)


@dataclass(slots=True)
class _Cursor:
    """A place in a partition: the segment that begins at `base`, `at` bytes into it, where record `offset` begins."""

    base: int
    at: int
    offset: int


class PartitionFolder:
    """One partition on disk: its segments, and walking over their frames."""

    def __init__(self, partition: Partition, path: Path) -> None:
        self.partition = partition
        self.path = path

    def bases(self) -> list[int]:
        """The first offset of each segment, in order. A partition that nothing was written to has none."""
        return sorted(int(name[:-4]) for name in os.listdir(self.path) if name.endswith(".log"))

    def segment(self, base: int) -> Path:
        return self.path / f"{base:020d}.log"

    def begin(self) -> int:
        return next(iter(self.bases()), 0)

    def walk(self, cursor: _Cursor, until: int | None = None) -> None:
        """Move the cursor over whole frames, to record `until` or to the last whole frame of its segment."""
        path = self.segment(cursor.base)
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            while until is None or cursor.offset < until:
                head = read_at(file.fileno(), HEAD.size, cursor.at)
                length = self.check_head(head, cursor, size)
                if length is None:
                    return
                cursor.at += HEAD.size + length
                cursor.offset += 1

    def check_head(self, head: bytes, cursor: _Cursor, size: int) -> int | None:
        """The length of the body that follows; None where the frame is not whole yet. Raises LogError on damage."""
        if len(head) < HEAD.size:
            return None
        length, _, offset, checksum = HEAD.unpack(head)
        if checksum != zlib.crc32(head[:HEAD_CHECKED]) or offset != cursor.offset:
            raise self.damage(cursor)
        return None if cursor.at + HEAD.size + length > size else int(length)

    def damage(self, cursor: _Cursor) -> LogError:
        return LogError(
            f"{self.segment(cursor.base)}: damaged at byte {cursor.at} (record {cursor.offset}): its checksum does not "
            "match; restore the file from a copy, or start a new run"
        )

    def locate(self, offset: int) -> _Cursor:
        """The cursor of a record, or of the end. Raises OffsetOutOfRange."""
        bases = self.bases()
        if not bases and offset == 0:
            return _Cursor(0, 0, 0)
        older = [base for base in bases if base <= offset]
        if not older:
            raise self.out_of_range(offset)
        cursor = _Cursor(older[-1], 0, older[-1])
        self.walk(cursor, offset)
        if cursor.offset < offset:
            raise self.out_of_range(offset)
        return cursor

    def out_of_range(self, offset: int) -> OffsetOutOfRange:
        return OffsetOutOfRange(
            f"{self.partition.topic}[{self.partition.number}]: offset {offset} is not retained: the log holds "
            f"{self.begin()} to {self.end().offset}; use `log.retention: all` to keep everything"
        )

    def end(self) -> _Cursor:
        """The cursor behind the last whole record."""
        bases = self.bases()
        cursor = _Cursor(bases[-1], 0, bases[-1]) if bases else _Cursor(0, 0, 0)
        if bases:
            self.walk(cursor)
        return cursor


class PartitionWriter:
    """The one writer of a partition: holds its lock, has cut off what a crash left half-written."""

    def __init__(self, folder: PartitionFolder, segment_bytes: int) -> None:
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._lock = open_file(folder.path / ".lock", write=True)
        self._take_lock()
        end = folder.end()
        self._end = end
        self._file = open_file(folder.segment(end.base), write=True)
        os.ftruncate(self._file, end.at)

    def _take_lock(self) -> None:
        deadline = time.monotonic() + LOCK_PATIENCE_S
        try:
            while not try_lock(self._lock):
                if time.monotonic() > deadline:
                    os.close(self._lock)
                    raise LogError(f"{self._folder.path}: is being written by another process; stop that run first")
                time.sleep(0.05)
        except OSError as error:
            os.close(self._lock)
            raise LogError(f"{self._folder.path}: cannot be locked: {error.strerror}") from None

    def append(self, key: bytes | None, value: bytes, headers: Mapping[str, bytes] | None) -> None:
        """Add a frame, whole or not at all. Raises LogError where there is no room."""
        body = _encode_body(key, value, headers)
        length = sum(map(len, body))
        if self._end.at and self._end.at + length > self._segment_bytes:
            self._roll()
        checksum = 0
        for part in body:
            checksum = zlib.crc32(part, checksum)
        head = struct.pack("<IIq", length, checksum, self._end.offset)
        total = HEAD.size + length
        try:
            written = write_at(self._file, [head, struct.pack("<I", zlib.crc32(head)), *body], self._end.at)
            if written < total:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._end.at)
            raise LogError(
                f"{self._folder.segment(self._end.base)}: cannot be written: {error.strerror}; make room, then resume the run"
            ) from None
        self._end.at += total
        self._end.offset += 1

    def _roll(self) -> None:
        os.close(self._file)
        self._end = _Cursor(self._end.offset, 0, self._end.offset)
        self._file = open_file(self._folder.segment(self._end.base), write=True)

    def close(self) -> None:
        os.close(self._file)
        os.close(self._lock)


class PartitionReader:
    """Reads one partition from a cursor on."""

    def __init__(self, folder: PartitionFolder, offset: int) -> None:
        self._folder = folder
        self.cursor = folder.locate(offset)
        self._file: int | None = None

    def _open(self) -> int | None:
        if self._file is None:
            try:
                self._file = open_file(self._folder.segment(self.cursor.base), write=False)
            except FileNotFoundError:
                if self._folder.begin() > self.cursor.offset:
                    raise self._folder.out_of_range(self.cursor.offset) from None
        return self._file

    def read(self, max_records: int) -> list[Record]:
        """Records that are whole, from the cursor on, which moves behind them. Raises LogError on damage, OffsetOutOfRange."""
        found = self._read_segment(max_records)
        if not found and self._file is not None and self._folder.segment(self.cursor.offset).exists():
            if self.cursor.base == self.cursor.offset:
                return found
            # The writer has gone on to another segment. It may have added to this one before: look once more.
            found = self._read_segment(max_records)
            if not found:
                self.close()
                self.cursor = _Cursor(self.cursor.offset, 0, self.cursor.offset)
                found = self._read_segment(max_records)
        return found

    def _read_segment(self, max_records: int) -> list[Record]:
        file = self._open()
        if file is None:
            return []
        cursor = self.cursor
        buffer = memoryview(read_at(file, READ_BYTES, cursor.at))
        if len(buffer) < HEAD.size:
            return []
        start = cursor.at
        size = os.fstat(file).st_size
        records: list[Record] = []
        while len(records) < max_records:
            at = cursor.at - start
            head = buffer[at : at + HEAD.size]
            if len(head) < HEAD.size:
                break
            length = self._folder.check_head(bytes(head), cursor, size)
            if length is None:
                break
            body = buffer[at + HEAD.size : at + HEAD.size + length]
            if len(body) < length:
                if records:
                    break
                body = memoryview(read_at(file, length, cursor.at + HEAD.size))
            if zlib.crc32(body) != HEAD.unpack(head)[1]:
                raise self._folder.damage(cursor)
            records.append(_decode_body(self._folder.partition, cursor.offset, body))
            cursor.at += HEAD.size + length
            cursor.offset += 1
        return records

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
