"""Downloading data sets into the user's cache."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.progress import DownloadColumn, Progress, TransferSpeedColumn

from simulator.datasets.rows import cache_folder
from simulator.errors import FetchError

__all__ = ["RELEASES", "Release", "fetch"]

CHUNK = 1 << 16
TIMEOUT_S = 30.0


class Release(NamedTuple):
    """Where a data set is published, and the sha256 of the archive."""

    url: str
    sha256: str


RELEASES = {
    "movielens-small": Release(
        "https://files.grouplens.org/datasets/movielens/ml-latest-small.zip",
        # The release of September 2018, as TensorFlow Datasets and others list it.
        "696d65a3dfceac7c45750ad32df2c259311949efec81f0f144fdfb91ebc9e436",
    )
}


def fetch(name: str, to: Path | None = None, releases: dict[str, Release] = RELEASES) -> Path:
    """Download a data set and check it; the path of the archive, which a scenario's `data.path` takes.

    Raises FetchError: it cannot be reached, cannot be written, or its sha256 is another.
    """
    release = releases[name]
    folder = to or cache_folder()
    target = folder / release.url.rsplit("/", 1)[1]
    if target.exists():
        _check(target, release)
        return target
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, temporary_name = tempfile.mkstemp(dir=folder, suffix=".part")
    except OSError as error:
        raise FetchError(f"{folder}: cannot be written: {error.strerror}; choose another --to") from None
    os.close(handle)
    temporary = Path(temporary_name)
    try:
        _download(release.url, temporary)
        _check(temporary, release)
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


def _check(path: Path, release: Release) -> None:
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != release.sha256:
        raise FetchError(
            f"{path}: its sha256 is {found}, expected {release.sha256}: it is damaged or another release; remove it and "
            "fetch again, or name it with --set data.path=FILE if you trust it"
        )
