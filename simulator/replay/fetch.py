"""Downloading data sets into the user's cache."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import urllib.error
import urllib.request
import zipfile
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.progress import DownloadColumn, Progress, TransferSpeedColumn

from simulator.replay.data import cache_folder

__all__ = ["SOURCES", "FetchError", "Source", "fetch"]

CHUNK = 1 << 16
TIMEOUT_S = 30.0


class FetchError(RuntimeError):
    """The data set could not be downloaded, or is not what it should be. The message says how to go on by hand."""


class Source(NamedTuple):
    """Where a data set is published. lines: of files in the archive, headers included, by which it is known."""

    url: str
    lines: dict[str, int]


# The publisher replaces this archive under the same name now and then; its README states these counts for the
# release of September 2018.
SOURCES = {
    "movielens-small": Source(
        "https://files.grouplens.org/datasets/movielens/ml-latest-small.zip",
        {"ml-latest-small/ratings.csv": 100_837, "ml-latest-small/movies.csv": 9_743},
    )
}


def fetch(name: str, to: Path | None = None, sources: dict[str, Source] = SOURCES) -> Path:
    """Download a data set and check it; the path of the archive, which a scenario's `data.path` takes.

    The archive must have whole members (their CRCs) of the stated lengths. Its sha256 is kept beside it: a later copy
    that differs is refused. Raises FetchError.
    """
    source = sources[name]
    folder = to or cache_folder()
    target = folder / source.url.rsplit("/", 1)[1]
    recorded = target.with_name(target.name + ".sha256")
    if target.exists():
        _check(target, source)
        _check_sum(target, recorded)
        return target
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, temporary_name = tempfile.mkstemp(dir=folder, suffix=".part")
    except OSError as error:
        raise FetchError(f"{folder}: cannot be written: {error.strerror}; choose another --to") from None
    os.close(handle)
    temporary = Path(temporary_name)
    try:
        _download(source.url, temporary)
        _check(temporary, source)
        _check_sum(temporary, recorded)
        temporary.replace(target)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
    return target


def _download(url: str, target: Path) -> None:
    columns = (*Progress.get_default_columns(), DownloadColumn(), TransferSpeedColumn())
    try:
        with (
            urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer,
            open(target, "wb") as file,
            Progress(*columns, console=Console(stderr=True), transient=True) as progress,
        ):
            size = answer.headers.get("Content-Length")
            task = progress.add_task(url.rsplit("/", 1)[1], total=int(size) if size else None)
            while block := answer.read(CHUNK):
                file.write(block)
                progress.advance(task, len(block))
    except (urllib.error.URLError, OSError) as error:
        raise FetchError(
            f"{url}: cannot be downloaded ({error}); download it elsewhere and name it with --set data.path=FILE"
        ) from None


def _check(path: Path, source: Source) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            if (bad := archive.testzip()) is not None:
                raise FetchError(f"{path}: {bad} in it is damaged; remove the file and fetch again")
            for member, lines in source.lines.items():
                found = archive.read(member).count(b"\n")
                if found != lines:
                    raise FetchError(f"{path}: {member} has {found} lines, expected {lines}: it is another release")
    except (zipfile.BadZipFile, KeyError, OSError) as error:
        raise FetchError(f"{path}: is not the archive of {source.url} ({error}); remove it and fetch again") from None


def _check_sum(path: Path, recorded: Path) -> None:
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if not recorded.exists():
        recorded.write_text(f"{found}\n", encoding="ascii")
    elif recorded.read_text(encoding="ascii").strip() != found:
        raise FetchError(f"{path}: its sha256 is {found}, not the one in {recorded}; remove both to accept another release")
