"""The page of a run that goes on: served on this machine alone, made anew when the run folder has changed."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

from simulator.readout.compute import compute
from simulator.readout.report.context import context_of
from simulator.readout.report.write import part, render
from simulator.run_folder.progress import Progress, progress_of
from simulator.run_folder.reader import read_run

__all__ = ["HOST", "LiveRun", "Page", "serve"]

HOST = "127.0.0.1"
# What a browser may call this machine. A page from elsewhere whose name resolves to it (DNS rebinding) says its own name.
NAMES = {"127.0.0.1", "localhost"}
# Whoever writes a run replaces these whole. A new day is in the daily table last, when its users are there to be read.
FILES = ("manifest.json", "daily.parquet", "users.parquet", "truth.csv")


UNREADABLE = "unreadable"  # the state of a folder whose status is not known


class Page(NamedTuple):
    """HTML, and the stamp of the folder that it was made of."""

    stamp: str
    html: str


class LiveRun:
    """A run folder as pages, whoever is writing into it. Safe for several threads."""

    def __init__(self, folder: Path, baseline: str | None = None) -> None:
        self._folder = folder
        self._baseline = baseline
        self._making = threading.Lock()
        self._made = Page("", "")

    @property
    def stamp(self) -> str:
        """Another text whenever the folder's tables have changed."""
        found = []
        for name in FILES:
            try:
                found.append(f"{(self._folder / name).stat().st_mtime_ns:x}")
            except OSError:
                found.append("")
        return "-".join(found)

    def state(self) -> dict[str, Any]:
        """What the page asks for again and again: it computes nothing."""
        stamp = self.stamp
        try:
            far = progress_of(self._folder)
        except Exception as error:
            return {"stamp": stamp, "status": UNREADABLE, "said": _said_of(error), "changed": None}
        changed = None if far.changed is None else far.changed.isoformat(timespec="seconds")
        return {"stamp": stamp, "status": far.status, "said": _said(far), "changed": changed}

    def page(self) -> Page:
        """The page of the folder as it is; that of before where nothing has changed."""
        with self._making:
            stamp = self.stamp
            if stamp != self._made.stamp:
                # The stamp is older than what is read after it: what changes meanwhile gives another page, never none.
                self._made = Page(stamp, self._make(stamp))
            return self._made

    def _make(self, stamp: str) -> str:
        state = self.state()
        live = {"state": state, "stamp": stamp, "live_script": part("live.js")}
        try:
            if (self._folder / "daily.parquet").exists():
                return render("live.html.j2", context_of(compute(read_run(self._folder, self._baseline))) | live)
        except Exception as error:  # a folder that is half there is whole at the next look
            live["state"] = {**state, "status": UNREADABLE, "said": _said_of(error)}
        return render("waiting.html.j2", {"folder": self._folder.resolve(), "sections": []} | live)


def _said(far: Progress) -> str:
    days = f"day {far.days} of {far.of_days} is complete" if far.days else "no day is complete yet"
    match far.status:
        case "running":
            return f"live: {days}"
        case "failed":
            return f"failed: {far.manifest.error or days}"
    return f"{far.status}: {days}"


def _said_of(error: Exception) -> str:
    return f"cannot be read at this moment: {type(error).__name__}: {error}"


@contextmanager
def serve(run: LiveRun, port: int = 0) -> Iterator[str]:
    """Serve the pages of a run on loopback, in threads, until the end of the block. Gives the address.

    port: 0 takes any that is free. Raises OSError where it cannot be had.
    """

    class Handler(_Handler):
        live = run

    with _Server((HOST, port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
        thread.start()
        try:
            yield f"http://{HOST}:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A reader who has gone is no error."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """Two resources and no files: what is asked for is compared, never opened."""

    live: LiveRun
    server_version, sys_version = "reloop-lab", ""

    def do_GET(self) -> None:
        name = self.headers.get("Host", "").rpartition(":")[0] or self.headers.get("Host", "")
        path = self.path.partition("?")[0]
        if name not in NAMES:
            self._answer(HTTPStatus.FORBIDDEN, "text/plain", f"ask for {HOST} or localhost\n")
        elif path == "/":
            page = self.live.page()
            self._answer(HTTPStatus.OK, "text/html", page.html, page.stamp)
        elif path == "/state":
            self._answer(HTTPStatus.OK, "application/json", json.dumps(self.live.state()))
        else:
            self._answer(HTTPStatus.NOT_FOUND, "text/plain", "there is / and /state\n")

    do_HEAD = do_GET

    def _answer(self, status: HTTPStatus, kind: str, text: str, stamp: str | None = None) -> None:
        tag = None if stamp is None else f'"{stamp}"'
        if tag is not None and self.headers.get("If-None-Match") == tag:
            status, text = HTTPStatus.NOT_MODIFIED, ""
        body = text.encode()
        self.send_response(status)
        if tag is not None:
            self.send_header("ETag", tag)
        self.send_header("Cache-Control", "no-cache")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Content-Security-Policy", "frame-ancestors 'none'")
        if status != HTTPStatus.NOT_MODIFIED:
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD" and status != HTTPStatus.NOT_MODIFIED:
            self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing: stderr is for what its reader must know."""
