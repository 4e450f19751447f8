"""Files of text as blocks of whole lines: decompressed, and checked to be what readers of lines take them for."""

from __future__ import annotations

import bz2
import codecs
import gzip
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO, Any

import zstandard

from simulator.datasets.rejects import Rejects
from simulator.datasets.rows import in_archive
from simulator.errors import DataError

__all__ = [
    "NotUtf8",
    "TextFile",
    "blocks",
    "first_line",
    "first_lines",
    "member",
    "members",
    "require_regular",
    "text_file",
]

BLOCK_BYTES = 1 << 20
LINE_BYTES = 1 << 24  # a longer line is no line, and would have to be held in memory
BOM = b"\xef\xbb\xbf"

# What a file is, by its first bytes, whatever its name says.
COMPRESSED: dict[re.Pattern[bytes], Callable[[IO[bytes]], Any]] = {
    re.compile(rb"\x1f\x8b"): lambda raw: gzip.GzipFile(fileobj=raw),
    re.compile(rb"BZh[1-9]1AY&SY"): bz2.BZ2File,
    re.compile(rb"\xfd7zXZ\x00"): lzma.LZMAFile,
    re.compile(rb"\x28\xb5\x2f\xfd"): lambda raw: zstandard.ZstdDecompressor().stream_reader(
        raw, read_across_frames=True
    ),
}
FOREIGN = {
    b"PAR1": "is a Parquet file: say data.format: parquet",
    b"\x89PNG": "is a picture, no table",
    b"\xff\xd8\xff": "is a picture, no table",
    b"GIF8": "is a picture, no table",
    b"%PDF": "is a PDF: save its table as CSV",
    b"PK\x03\x04": "is a damaged zip, or a zip in a zip: fetch it again, or unpack it",
    b"7z\xbc\xaf": "is a 7z archive: unpack it first",
    b"\xff\xfe": "is UTF-16: save it as UTF-8, or (of CSV) say data.encoding: utf-16",
    b"\xfe\xff": "is UTF-16: save it as UTF-8, or (of CSV) say data.encoding: utf-16",
}


class NotUtf8(DataError):
    """A text in another encoding than it was said to be in."""


@dataclass(frozen=True)
class TextFile:
    """A file that can be read again and again. name: what messages call it. path: where its bytes lie."""

    name: str
    open: Callable[[], IO[bytes]]
    path: Path
    encoding: str = "utf-8"


def require_regular(path: Path) -> None:
    """Raise DataError where the path is that of a folder, or of a pipe, which cannot be read twice."""
    if path.is_dir():
        raise DataError(f"{path}: is a folder, must be a file; name one of the files in it")
    if not path.is_file():
        raise DataError(f"{path}: is no regular file (each process of a run reads it anew); write it to a file first")


def text_file(path: Path, encoding: str = "utf-8") -> TextFile:
    """The file at a path, which may lead into a zip; of a zip that holds one file alone, that file. Raises DataError."""
    if (inner := in_archive(path)) is not None:
        archive, name = inner
        if name not in (found := members(archive)):
            raise DataError(f"{archive}: has no {name}; it has {', '.join(found[:8])}")
        return member(archive, name, encoding)
    require_regular(path)
    if not zipfile.is_zipfile(path):
        return TextFile(str(path), lambda: open(path, "rb"), path, encoding)
    found = members(path)
    if len(found) != 1:
        raise DataError(
            f"{path}: is a zip of {len(found)} files ({', '.join(found[:8])}); say which, as in data.path: {path.name}/NAME"
        )
    return member(path, found[0], encoding)


def members(path: Path) -> list[str]:
    """The files in a zip. Raises DataError."""
    try:
        with zipfile.ZipFile(path) as archive:
            return [one.filename for one in archive.infolist() if not one.is_dir()]
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(f"{path}: is a damaged zip ({error}); fetch it again") from None


def member(path: Path, name: str, encoding: str = "utf-8") -> TextFile:
    """A file in a zip, by the name that it has there."""
    return TextFile(f"{path}: {name}", partial(_open_member, path, name), path, encoding)


def _open_member(path: Path, name: str) -> IO[bytes]:
    return zipfile.ZipFile(path).open(name)


def first_line(file: TextFile) -> str:
    """The first line that is not blank, of those that can be read. Raises DataError where there is none."""
    return first_lines(file, 1, Rejects(share=1.0))[0]


def first_lines(file: TextFile, most: int, rejects: Rejects | None = None) -> list[str]:
    """Lines that are not blank, from the first on and of one block; at least one. Raises DataError."""
    for _, block in blocks(file, rejects):
        if found := [*islice((line for line in block.split(b"\n") if line.strip()), most)]:
            return [line.decode().rstrip("\r") for line in found]
    raise DataError(f"{file.name}: holds no event")


def blocks(file: TextFile, rejects: Rejects | None = None) -> Iterator[tuple[int, bytes]]:
    """Whole lines together, in UTF-8, and the number of the first; compressed files (gzip, bzip2, xz, zstd) are unpacked.

    Memory holds one block. Raises DataError naming the line that is not in the file's encoding, has a zero byte or a
    carriage return of its own, or is endless; a line that `rejects` takes is blank. The checks cost about 2 seconds a
    gigabyte.
    """
    number, rest = 1, [b""]
    for chunk in _recoded(file):
        cut = chunk.rfind(b"\n") + 1
        if cut:
            block = _checked(file.name, number, b"".join([*rest, chunk[:cut]]), rejects)
            yield number, block
            number += block.count(b"\n")
            rest = [chunk[cut:]]
        else:
            rest.append(chunk)
            if sum(map(len, rest)) > LINE_BYTES:
                raise DataError(f"{file.name}: line {number} has over {LINE_BYTES >> 20} MiB; is it a file of text?")
    if last := b"".join(rest):
        yield number, _checked(file.name, number, last, rejects)


def _recoded(file: TextFile) -> Iterator[bytes]:
    """The file's bytes in UTF-8."""
    if codecs.lookup(file.encoding).name == "utf-8":
        yield from _chunks(file)
        return
    decoder, at = codecs.getincrementaldecoder(file.encoding)(), 0
    for chunk in _chunks(file):
        try:
            text = decoder.decode(chunk)
        except UnicodeDecodeError as error:
            raise DataError(
                f"{file.name}: is not {file.encoding} from byte {at + error.start:,} on ({error.reason}); say its data.encoding"
            ) from None
        at += len(chunk)
        yield text.removeprefix("\ufeff").encode()


def _chunks(file: TextFile) -> Iterator[bytes]:
    try:
        with file.open() as raw, _unpacked(file.name, raw, file.encoding) as stream:
            is_first = True
            while chunk := stream.read(BLOCK_BYTES):
                yield chunk.removeprefix(BOM) if is_first else chunk
                is_first = False
            if is_first:
                raise DataError(f"{file.name}: is empty")
    # RuntimeError: a member of a zip that is encrypted, or compressed in another way.
    except (
        OSError,
        EOFError,
        zlib.error,
        lzma.LZMAError,
        zipfile.BadZipFile,
        zstandard.ZstdError,
        RuntimeError,
    ) as error:
        raise DataError(f"{file.name}: cannot be read to its end: {error}; fetch or write it again") from None


def _unpacked(name: str, raw: IO[bytes], encoding: str) -> IO[bytes]:
    head: bytes = raw.peek(16)  # type: ignore[attr-defined]  # files and members of zips have it
    for magic, what in FOREIGN.items():
        if head.startswith(magic) and not (what.startswith("is UTF-16") and encoding.startswith("utf-16")):
            raise DataError(f"{name}: {what}")
    for pattern, unpack in COMPRESSED.items():
        if pattern.match(head):
            unpacked: IO[bytes] = unpack(raw)
            return unpacked
    return raw


def _checked(name: str, number: int, block: bytes, rejects: Rejects | None) -> bytes:
    """The block, with a blank in place of each line that `rejects` takes."""
    try:
        _check(name, number, block)
    except DataError:
        if rejects is None or rejects.is_strict:
            raise
    else:
        return block
    lines = block.split(b"\n")
    for at, line in enumerate(lines):
        try:
            _check(name, number + at, line + b"\n")
        except DataError as error:
            rejects.add([str(error)])
            lines[at] = b""
    return b"\n".join(lines)


def _check(name: str, number: int, block: bytes) -> None:
    def line_at(place: int) -> int:
        return number + block.count(b"\n", 0, place)

    if (at := block.find(b"\0")) >= 0:
        raise DataError(f"{name}: line {line_at(at)} has a zero byte; save the file as text in UTF-8")
    try:
        block.decode()
    except UnicodeDecodeError as error:
        raise NotUtf8(
            f"{name}: line {line_at(error.start)} is not UTF-8 (byte 0x{block[error.start]:02x}, in Latin-1 "
            f"{chr(block[error.start])!r}); save the file as UTF-8, or (of CSV) say its data.encoding"
        ) from None
    if b"\r" in block and block.count(b"\r") != block.count(b"\r\n"):
        at = next(i for i in range(len(block)) if block[i] == 13 and block[i + 1 : i + 2] != b"\n")
        raise DataError(
            f"{name}: line {line_at(at)} has a carriage return that ends no line; save the file with the line ends of "
            "Unix or Windows"
        )
