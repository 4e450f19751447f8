"""Downloads are checked, go on where they broke off, and leave nothing that is not what it should be."""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simulator.datasets import fetch as module
from simulator.datasets.fetch import _unpack, fetch, fetched
from simulator.datasets.publications import PUBLICATIONS, Download
from simulator.errors import FetchError
from tests.simulator.datasets.site import DATA, Site, a_site


@pytest.fixture
def site() -> Iterator[Site]:
    with a_site() as site:
        yield site


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_data_set_is_downloaded_once_and_checked(site: Site, tmp_path: Path) -> None:
    published = site.published(digest(DATA))
    assert fetched("set", tmp_path, published) is None
    path = fetch("set", tmp_path, published)
    assert path.read_bytes() == DATA and names(tmp_path) == {"set.zip"}
    assert fetch("set", tmp_path, published) == path == fetched("set", tmp_path, published)
    assert len(site.asked) == 1
    path.write_bytes(b"other data")
    with pytest.raises(FetchError, match=r"set\.zip: its sha256 is"):
        fetch("set", tmp_path, published)


def test_a_content_whose_checksum_nobody_publishes_is_remembered(site: Site, tmp_path: Path) -> None:
    published = site.published()
    path = fetch("set", tmp_path, published)
    assert (tmp_path / "set.zip.sha256").read_text() == f"{digest(DATA)}  set.zip\n"
    path.unlink()
    site.content = DATA[:-1]
    with pytest.raises(FetchError, match=f"expected {digest(DATA)}"):
        fetch("set", tmp_path, published)


def test_a_connection_that_breaks_is_taken_up_where_it_broke(site: Site, tmp_path: Path) -> None:
    site.breaks = [100_000, 50_000]
    assert fetch("set", tmp_path, site.published(digest(DATA))).read_bytes() == DATA
    assert site.asked == [None, "bytes=100000-", "bytes=150000-"]


def test_a_later_fetch_goes_on_where_the_earlier_one_ended(site: Site, tmp_path: Path) -> None:
    published = site.published(digest(DATA))
    site.breaks = [100_000, 0, 0]  # no attempt gets further than the first
    with pytest.raises(FetchError, match=r"broke off after 100,000 of 512,000 bytes.*100,000 bytes are kept"):
        fetch("set", tmp_path, published)
    assert names(tmp_path) == {"set.zip.part", "set.zip.part.json"}
    site.breaks = []
    assert fetch("set", tmp_path, published).read_bytes() == DATA and names(tmp_path) == {"set.zip"}
    assert site.asked[-1] == "bytes=100000-"


@pytest.mark.parametrize("tagged", ["etag", "last-modified"])
def test_a_file_that_changed_in_between_is_downloaded_anew(site: Site, tmp_path: Path, tagged: str) -> None:
    if tagged == "last-modified":
        site.tag, site.modified = 'W/"1"', "Wed, 21 Oct 2015 07:28:00 GMT"
    site.breaks = [100_000, 0]
    with pytest.raises(FetchError):
        fetch("set", tmp_path, site.published())
    site.content = DATA[::-1]
    site.tag, site.modified = ('"2"', None) if tagged == "etag" else ('W/"1"', "Thu, 22 Oct 2015 07:28:00 GMT")
    assert fetch("set", tmp_path, site.published()).read_bytes() == DATA[::-1]
    assert site.asked[-1] == "bytes=100000-"


def test_a_part_that_is_longer_than_the_file_is_downloaded_anew(site: Site, tmp_path: Path) -> None:
    site.breaks = [100_000, 0]
    with pytest.raises(FetchError):
        fetch("set", tmp_path, site.published())
    site.content = b"short"
    assert fetch("set", tmp_path, site.published()).read_bytes() == b"short"


@pytest.mark.parametrize("lacks", ["ranges", "tags"])
def test_a_server_that_cannot_go_on_begins_anew(site: Site, tmp_path: Path, lacks: str) -> None:
    site.has_ranges = lacks != "ranges"
    site.tag = None if lacks == "tags" else '"1"'
    site.breaks = [100_000, 200_000]
    assert fetch("set", tmp_path, site.published(digest(DATA))).read_bytes() == DATA
    site.breaks = [100_000] * 9
    (tmp_path / "set.zip").unlink()
    with pytest.raises(FetchError, match="broke off"):  # no attempt gets further than the first
        fetch("set", tmp_path, site.published(digest(DATA)))
    assert len(site.asked) == 3 + 2


def test_a_download_that_fails_leaves_nothing_and_says_how_to_go_on(site: Site, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match=r"its sha256 is .*data\.path=FILE"):
        fetch("set", tmp_path, site.published("0" * 64))
    published = site.published()
    site.server.shutdown()
    site.server.server_close()
    with pytest.raises(FetchError, match=r"cannot be downloaded .*data\.path=FILE"):
        fetch("set", tmp_path, published)
    assert names(tmp_path) == set()


def test_a_full_disk_is_told_from_a_broken_connection(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FetchError, match=r"file: cannot be written: .*; choose another --to"):
        fetch("set", tmp_path / "file", site.published())

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "open", full, raising=False)
    with pytest.raises(FetchError, match="cannot be written: No space left on device"):
        fetch("set", tmp_path, site.published())


def test_an_archive_that_this_python_cannot_unpack_safely_is_left_to_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(tarfile, "data_filter", raising=False)
    with pytest.raises(FetchError, match=r"x\.tar\.gz: Python before 3\.11\.4 .* unpack it yourself into .*/x$"):
        _unpack(tmp_path / "x.tar.gz", tmp_path / "x")


@pytest.mark.skipif(not hasattr(tarfile, "data_filter"), reason="this Python is older than 3.11.4")
@pytest.mark.parametrize("inner", ["", "KuaiRand-Pure/"])
def test_an_archive_that_no_format_reads_is_unpacked(site: Site, tmp_path: Path, inner: str) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name in ("log_1.csv", "log_2.csv"):
            member = tarfile.TarInfo(f"{inner}{name}")
            member.size = 4
            archive.addfile(member, io.BytesIO(b"a,b\n"))
    site.content = packed.getvalue()
    (download,) = site.published()["set"].files
    url = download.url.replace("set.zip", "set.tar.gz")
    published = {"set": site.published(is_packed=True)["set"]._replace(files=(Download(url),))}
    path = fetch("set", tmp_path, published)
    assert path == tmp_path / "set" == fetch("set", tmp_path, published) and names(path) == {"log_1.csv", "log_2.csv"}
    assert names(tmp_path) == {"set", "set.tar.gz.sha256"} and len(site.asked) == 1
    (tmp_path / "x.tar.gz").write_bytes(packed.getvalue()[:40])
    with pytest.raises(FetchError, match=r"x\.tar\.gz: cannot be unpacked \(.*\); remove it and fetch again"):
        _unpack(tmp_path / "x.tar.gz", tmp_path / "x")
    assert names(tmp_path) == {"set", "set.tar.gz.sha256", "x.tar.gz"}


def test_a_data_set_of_several_files_lies_in_a_folder(site: Site, tmp_path: Path) -> None:
    (download,) = site.published()["set"].files
    files = tuple(Download(download.url.replace("set.zip", f"{part}.csv"), digest(DATA)) for part in ("train", "test"))
    published = {"set": site.published()["set"]._replace(files=files)}
    assert fetch("set", tmp_path, published) == tmp_path / "set" and names(tmp_path / "set") == {
        "train.csv",
        "test.csv",
    }
    (tmp_path / "set" / "test.csv").unlink()
    assert fetched("set", tmp_path, published) is None


def test_what_is_handed_out_by_its_publisher_alone_says_how_to_get_it(tmp_path: Path) -> None:
    for name, publication in PUBLICATIONS.items():
        assert bool(publication.files) != bool(publication.steps)
        if not publication.files:
            with pytest.raises(FetchError, match=rf"{name}: is handed out .*{re.escape(publication.page)}.*data\.path"):
                fetch(name, tmp_path)
        assert all(file.sha256 is None or re.fullmatch("[0-9a-f]{64}", file.sha256) for file in publication.files)
