"""Downloading data sets into the user's cache: checked, and after a break continued where it broke off."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import re
import shutil
import tarfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import DownloadColumn, Progress, TransferSpeedColumn

from simulator.datasets.publications import PUBLICATIONS, Download, Publication
from simulator.datasets.rows import cache_folder
from simulator.errors import FetchError

__all__ = ["fetch", "fetched"]

CHUNK = 1 << 16
TIMEOUT_S = 30.0
ELSEWHERE = "download it elsewhere and name it with --set data.path=FILE"
CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")


def fetched(name: str, to: Path | None = None, publications: Mapping[str, Publication] = PUBLICATIONS) -> Path | None:
    """Where a data set that was fetched lies, which a scenario's `data.path` takes; None where it was not."""
    publication = publications[name]
    place = _place(name, publication, to or cache_folder())
    is_many = len(publication.files) > 1
    wanted = [place / file.name for file in publication.files] if is_many else [place]
    return place if all(path.exists() for path in wanted) else None


def fetch(name: str, to: Path | None = None, publications: Mapping[str, Publication] = PUBLICATIONS) -> Path:
    """Download a data set and check it; the path that a scenario's `data.path` takes.

    A file whose sha256 nobody publishes has that of the first download remembered beside it. Raises FetchError: it is
    handed out by its publisher alone, cannot be reached, cannot be written, or its sha256 is another.
    """
    publication = publications[name]
    if not publication.files:
        raise FetchError(
            f"{name}: is handed out by its publisher alone, at {publication.page}. {publication.steps} Then name it with "
            "--set data.path=PATH"
        )
    folder = to or cache_folder()
    place = _place(name, publication, folder)
    if publication.is_packed:
        if not place.exists():
            (archive,) = publication.files
            _file(archive, folder)
            _unpack(folder / archive.name, place)
    else:
        for file in publication.files:
            _file(file, folder if len(publication.files) == 1 else place)
    return place


def _place(name: str, publication: Publication, folder: Path) -> Path:
    is_folder = publication.is_packed or len(publication.files) != 1
    return folder / (name if is_folder else publication.files[0].name)


def _file(file: Download, folder: Path) -> None:
    """See to it that the file is in the folder."""
    target = folder / file.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if target.exists():
            _check(target, file, target)
            return
        part = _Part(target)
        part.complete(file.url)
        try:
            _check(part.path, file, target)
            part.path.replace(target)
        finally:
            part.forget()
    except OSError as error:
        raise FetchError(f"{folder}: cannot be written: {error.strerror}; choose another --to") from None


def _check(path: Path, file: Download, target: Path) -> None:
    """Raise FetchError where the content of the path is not what the target must hold."""
    remembered = target.with_name(f"{target.name}.sha256")
    expected = file.sha256
    if expected is None and remembered.exists():
        expected = remembered.read_text(encoding="utf-8").split()[0]
    with open(path, "rb") as opened:
        found = hashlib.file_digest(opened, "sha256").hexdigest()
    if expected is None:
        remembered.write_text(f"{found}  {target.name}\n", encoding="utf-8")
    elif found != expected:
        raise FetchError(
            f"{target}: its sha256 is {found}, expected {expected}: it is damaged or another release; remove it and "
            f"fetch again; or, if you trust it, {ELSEWHERE}"
        )


def _unpack(archive: Path, place: Path) -> None:
    """The archive's files in a folder, which is there whole or not at all; the archive goes."""
    partial = place.with_name(f"{place.name}.partial")
    is_zip = archive.suffix == ".zip"
    if not (is_zip or hasattr(tarfile, "data_filter")):  # without it an archive may write anywhere
        raise FetchError(
            f"{archive}: Python before 3.11.4 cannot unpack it safely; take a newer one, or unpack it yourself into {place}"
        )
    try:
        if is_zip:
            shutil.unpack_archive(archive, partial)
        else:
            shutil.unpack_archive(archive, partial, filter="data")
        inner = [*partial.iterdir()]
        # One folder in the archive is the data set's.
        (inner[0] if len(inner) == 1 and inner[0].is_dir() else partial).replace(place)
        archive.unlink()
    except (shutil.ReadError, OSError, EOFError) as error:
        raise FetchError(f"{archive}: cannot be unpacked ({error}); remove it and fetch again") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


class _Began(msgspec.Struct):
    """What a partial download is of. tag: the server's word for this content (ETag or Last-Modified), or ""."""

    url: str
    tag: str


class _Part:
    """A download that may have broken off: its bytes, and beside them of what content they are."""

    def __init__(self, target: Path) -> None:
        self.path = target.with_name(f"{target.name}.part")
        self._note = target.with_name(f"{target.name}.part.json")

    def complete(self, url: str) -> None:
        """Download what is missing; as long as each attempt gets further than any before, a break is no end."""
        columns = (*Progress.get_default_columns(), DownloadColumn(), TransferSpeedColumn())
        console = Console(stderr=True)
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
            furthest = self._size()
            while True:
                try:
                    self._attempt(url, progress)
                    return
                except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
                    size = self._size()
                    if size > furthest:
                        furthest = size
                        continue
                    kept = f"; {size:,} bytes are kept, and fetching again goes on there" if self._tag(url) else ""
                    raise FetchError(f"{url}: cannot be downloaded ({error}){kept}; or {ELSEWHERE}") from None

    def forget(self) -> None:
        for path in (self.path, self._note):
            path.unlink(missing_ok=True)

    def _size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def _attempt(self, url: str, progress: Progress) -> None:
        request = urllib.request.Request(url)
        if (size := self._size()) and (tag := self._tag(url)):
            request.add_header("Range", f"bytes={size}-")
            request.add_header("If-Range", tag)
        with self._opened(request) as answer:
            start, end = _span(answer)
            if start not in (0, size):
                raise http.client.HTTPException(f"asked for the bytes from {size} on, got those from {start} on")
            # Weak tags are of contents that are alike, not the same.
            tag = answer.headers.get("ETag", "")
            tag = answer.headers.get("Last-Modified", "") if not tag or tag.startswith("W/") else tag
            name = url.rsplit("/", 1)[1]
            task = progress.add_task(name, total=end, completed=start)
            with open(self.path, "ab") as file:
                file.truncate(start)
                # After it: whatever is kept is of the content that the note names.
                self._note.write_bytes(msgspec.json.encode(_Began(url, tag)))
                while block := _read(answer):
                    file.write(block)
                    progress.advance(task, len(block))
                got = file.tell()
            progress.remove_task(task)
        if end is not None and got < end:
            raise ConnectionError(f"it broke off after {got:,} of {end:,} bytes")

    def _opened(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        try:
            answer: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=TIMEOUT_S)
            return answer
        except urllib.error.HTTPError as error:
            if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise
            self.path.unlink()  # longer than the file is now
            return self._opened(urllib.request.Request(request.full_url))

    def _tag(self, url: str) -> str:
        """The tag of what was begun; "" where that was something else, or cannot be known."""
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            began = msgspec.json.decode(self._note.read_bytes(), type=_Began)
            return began.tag if began.url == url else ""
        return ""


def _read(answer: http.client.HTTPResponse) -> bytes:
    try:
        return answer.read(CHUNK)
    except OSError as error:  # not to be mistaken for one of the disk
        raise ConnectionError(f"{error}") from None


def _span(answer: http.client.HTTPResponse) -> tuple[int, int | None]:
    """Where the bytes of an answer lie in the file: the first, and the file's length, None where it is not said."""
    if answer.status == http.HTTPStatus.PARTIAL_CONTENT:
        found = CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        if found is None:
            raise http.client.HTTPException("an answer in part does not say which part")
        return int(found[1]), int(found[2])
    size = answer.headers.get("Content-Length")
    return 0, int(size) if size else None
