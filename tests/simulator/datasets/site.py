"""A web server that breaks connections, has ranges or not, and changes its file, as a test wants it."""

from __future__ import annotations

import contextlib
import functools
import http.server
import re
import threading
from collections.abc import Iterator
from typing import Any

from simulator.datasets.publications import Download, Publication

__all__ = ["DATA", "Site", "a_site"]

DATA = bytes(range(256)) * 2000


class Site:
    """A web server on one file. content: of it. breaks: after how many bytes each answer ends too early. asked: the ranges
    that were asked for."""

    def __init__(self) -> None:
        self.content = DATA
        self.breaks: list[int] = []
        self.asked: list[str | None] = []
        self.has_ranges = True
        self.tag: str | None = '"1"'
        self.modified: str | None = None
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Answers, self))

    def published(self, sha256: str | None = None, **more: Any) -> dict[str, Publication]:
        download = Download(f"http://127.0.0.1:{self.server.server_port}/set.zip", sha256)
        return {"set": Publication("A set", "csv", "us", "page", "none", "none", (download,), **more)}


class _Answers(http.server.BaseHTTPRequestHandler):
    def __init__(self, site: Site, *arguments: Any) -> None:
        self.site = site
        super().__init__(*arguments)

    def do_GET(self) -> None:
        site = self.site
        asked = self.headers.get("Range")
        site.asked.append(asked)
        start = 0
        if asked and site.has_ranges and self.headers.get("If-Range") in (site.tag, site.modified):
            start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])  # type: ignore[index]
            if start >= len(site.content):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(site.content) - 1}/{len(site.content)}")
        else:
            self.send_response(200)
        for name, value in (("ETag", site.tag), ("Last-Modified", site.modified)):
            if value is not None:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(site.content) - start))
        self.end_headers()
        stop = start + site.breaks.pop(0) if site.breaks else len(site.content)
        self.wfile.write(site.content[start:stop])

    def log_message(self, *_: Any) -> None: ...


@contextlib.contextmanager
def a_site() -> Iterator[Site]:
    """One that answers until the end of the block."""
    site = Site()
    threading.Thread(target=site.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield site
    site.server.shutdown()
    site.server.server_close()
