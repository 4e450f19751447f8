"""Downloads are checked, and one that fails leaves nothing."""

from __future__ import annotations

import functools
import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simulator.datasets.fetch import Release, fetch
from simulator.errors import FetchError


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A web server on a folder."""
    folder = tmp_path / "site"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_data_set_is_downloaded_once_and_checked(site: tuple[Path, str], tmp_path: Path) -> None:
    folder, url = site
    (folder / "set.zip").write_bytes(b"the data")
    sources = {"set": Release(f"{url}/set.zip", hashlib.sha256(b"the data").hexdigest())}
    path = fetch("set", tmp_path / "cache", sources)
    assert path.read_bytes() == b"the data"
    (folder / "set.zip").unlink()
    assert fetch("set", tmp_path / "cache", sources) == path  # not asked for again
    path.write_bytes(b"other data")
    with pytest.raises(FetchError, match="its sha256 is"):
        fetch("set", tmp_path / "cache", sources)


def test_a_download_that_fails_leaves_nothing_and_says_how_to_go_on(site: tuple[Path, str], tmp_path: Path) -> None:
    folder, url = site
    (folder / "bad.zip").write_bytes(b"tampered with")
    for name in ("bad", "gone"):
        with pytest.raises(FetchError, match=r"data\.path=FILE"):
            fetch(name, tmp_path / "cache", {name: Release(f"{url}/{name}.zip", "0" * 64)})
    assert list((tmp_path / "cache").iterdir()) == []
