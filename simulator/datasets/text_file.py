"""Files of text as blocks of whole lines: decompressed, and checked to be what readers of lines take them for."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from simulator.errors import DataError

__all__ = ["TextFile", "blocks", "require_regular", "text_file"]

BLOCK_BYTES = 1 << 22
LINE_BYTES = 1 << 24  # a longer line is no line, and would have to be held in memory
BOM = b"\xef\xbb\xbf"

# What a file is, by its first bytes, whatever its name says.
COMPRESSED: dict[re.Pattern[bytes], Callable[[IO[bytes]], Any]] = {
    re.compile(rb"\x1f\x8b"): lambda raw: gzip.GzipFile(fileobj=raw),
    re.compile(rb"BZh[1-9]1AY&SY"): bz2.BZ2File,
    re.compile(rb"\xfd7zXZ\x00"): lzma.LZMAFile,
}
FOREIGN = {
    b"PAR1": "is a Parquet file: say data.format: parquet",
    b"PK\x03\x04": "is a zip: unpack it first",
    b"\x28\xb5\x2f\xfd": "is compressed by zstd: unpack it, or compress it by gzip, bzip2 or xz",
    b"7z\xbc\xaf": "is a 7z archive: unpack it first",
    b"\xff\xfe": "is UTF-16: save it as UTF-8",
    b"\xfe\xff": "is UTF-16: save it as UTF-8",
}


@dataclass(frozen=True)
class TextFile:
    """A file that can be read again and again. name: what messages call it."""

    name: str
    open: Callable[[], IO[bytes]]


def require_regular(path: Path) -> None:
    """Raise DataError where the path is that of a folder, or of a pipe, which cannot be read twice."""
    if path.is_dir():
        raise DataError(f"{path}: is a folder, must be a file; name one of the files in it")
    if not path.is_file():
        raise DataError(f"{path}: is no regular file (each process of a run reads it anew); write it to a file first")


def text_file(path: Path) -> TextFile:
    """The file at a path. Raises DataError where it is none."""
    require_regular(path)
    return TextFile(str(path), lambda: open(path, "rb"))


def blocks(file: TextFile) -> Iterator[tuple[int, bytes]]:
    """Whole lines together, and the number of the first; compressed files (gzip, bzip2, xz) are unpacked.

    Memory holds one block. Raises DataError naming the line that is no UTF-8, has a zero byte or a carriage return of its
    own, or is endless. The checks cost about 2 seconds a gigabyte.
    """
    number, rest = 1, [b""]
    for chunk in _chunks(file):
        cut = chunk.rfind(b"\n") + 1
        if cut:
            block = b"".join([*rest, chunk[:cut]])
            _check(file.name, number, block)
            yield number, block
            number += block.count(b"\n")
            rest = [chunk[cut:]]
        else:
            rest.append(chunk)
            if sum(map(len, rest)) > LINE_BYTES:
                raise DataError(f"{file.name}: line {number} has over {LINE_BYTES >> 20} MiB; is it a file of text?")
    if last := b"".join(rest):
        _check(file.name, number, last)
        yield number, last


def _chunks(file: TextFile) -> Iterator[bytes]:
    try:
        with file.open() as raw, _unpacked(file.name, raw) as stream:
            is_first = True
            while chunk := stream.read(BLOCK_BYTES):
                yield chunk.removeprefix(BOM) if is_first else chunk
                is_first = False
            if is_first:
                raise DataError(f"{file.name}: is empty")
    # RuntimeError: a member of a zip that is encrypted, or compressed in another way.
    except (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, RuntimeError) as error:
        raise DataError(f"{file.name}: cannot be read to its end: {error}; fetch or write it again") from None


def _unpacked(name: str, raw: IO[bytes]) -> IO[bytes]:
    head: bytes = raw.peek(16)  # type: ignore[attr-defined]  # files and members of zips have it
    for magic, what in FOREIGN.items():
        if head.startswith(magic):
            raise DataError(f"{name}: {what}")
    for pattern, unpack in COMPRESSED.items():
        if pattern.match(head):
            unpacked: IO[bytes] = unpack(raw)
            return unpacked
    return raw


def _check(name: str, number: int, block: bytes) -> None:
    def line_at(place: int) -> int:
        return number + block.count(b"\n", 0, place)

    if (at := block.find(b"\0")) >= 0:
        raise DataError(f"{name}: line {line_at(at)} has a zero byte; save the file as text in UTF-8")
    try:
        block.decode()
    except UnicodeDecodeError as error:
        raise DataError(
            f"{name}: line {line_at(error.start)} is not UTF-8 (byte 0x{block[error.start]:02x}, in Latin-1 "
            f"{chr(block[error.start])!r}); save the file as UTF-8"
        ) from None
    if b"\r" in block and block.count(b"\r") != block.count(b"\r\n"):
        at = next(i for i in range(len(block)) if block[i] == 13 and block[i + 1 : i + 2] != b"\n")
        raise DataError(
            f"{name}: line {line_at(at)} has a carriage return that ends no line; save the file with the line ends of "
            "Unix or Windows"
        )
