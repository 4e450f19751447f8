"""The page of a run that goes on: as new as its folder, whatever state that is in, and for this machine alone."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from simulator.readout.compute import compute
from simulator.readout.report.live import LiveRun, serve
from simulator.readout.report.write import page
from simulator.run_folder.reader import read_run
from simulator.run_folder.writer import RunFolder
from tests.processes import wait_until
from tests.simulator.readout.test_undefined import folder_of
from tests.simulator.runs import lab, start

SHOWN = ([5, 5, 3, 4], [1, 0, 2, 1]), ([5, 2, 6, 3], [2, 0, 1, 2])


class Answer(NamedTuple):
    status: int
    text: str
    headers: dict[str, str]


def ask(address: str, path: str = "/", method: str = "GET", **headers: str) -> Answer:
    place = urlsplit(address)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=60)
    try:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        found = connection.getresponse()
        return Answer(found.status, found.read().decode(), {k.lower(): v for k, v in found.getheaders()})
    finally:
        connection.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return folder_of(tmp_path / "run", SHOWN, "simulation")


@pytest.fixture
def address(folder: Path) -> Iterator[str]:
    with serve(LiveRun(folder)) as found:
        yield found


def says(folder: Path, **changes: Any) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def main_of(html: str) -> str:
    return html[html.index("<main>") : html.index("</main>")]


def test_the_page_is_that_of_the_report_with_a_line_that_says_how_far_it_is(folder: Path, address: str) -> None:
    found = ask(address)
    assert found.status == 200 and found.headers["content-type"] == "text/html; charset=utf-8"
    assert main_of(found.text) == main_of(page(compute(read_run(folder))))
    assert "finished: day 4 of 3 is complete" in found.text  # the folder is made by hand, with a day too many
    state = json.loads(ask(address, "/state").text)
    assert state["status"] == "finished" and f'data-stamp="{state["stamp"]}"' in found.text


def test_it_is_computed_again_only_when_the_folder_has_changed(folder: Path) -> None:
    live = LiveRun(folder)
    first = live.page()
    assert live.page() is first
    (folder / "log.txt").write_text("a line")
    assert live.page() is first
    says(folder, status="interrupted")
    assert live.page().stamp != first.stamp and "the run is interrupted" in live.page().html


def test_a_browser_that_has_the_page_is_told_so_in_a_line(folder: Path, address: str) -> None:
    first = ask(address)
    again = ask(address, If_None_Match=first.headers["etag"])
    assert (again.status, again.text) == (304, "") and again.headers["etag"] == first.headers["etag"]
    head = ask(address, method="HEAD")
    assert (head.status, head.text) == (200, "") and int(head.headers["content-length"]) == len(first.text.encode())
    says(folder, status="running")
    assert ask(address, If_None_Match=first.headers["etag"]).status == 200


@pytest.mark.parametrize(
    "path", ["/manifest.json", "/../run/manifest.json", "//etc/passwd", "/%2e%2e/manifest.json", "/state/x"]
)
def test_no_file_is_served(address: str, path: str) -> None:
    assert ask(address, path).status == 404


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", ""])
def test_a_page_from_elsewhere_is_refused_whatever_its_name_resolves_to(address: str, host: str) -> None:
    assert ask(address, Host=host).status == ask(address, "/state", Host=host).status == 403


def test_this_machine_s_names_are_its_own_and_what_writes_is_refused(address: str) -> None:
    port = urlsplit(address).port
    assert address == f"http://127.0.0.1:{port}/"
    assert ask(address, "/state?x=1", Host=f"localhost:{port}").status == ask(address, Host="127.0.0.1").status == 200
    assert ask(address, method="POST").status == 501


def test_before_the_first_day_there_is_a_page_that_says_so_and_then_fills_itself_in(folder: Path) -> None:
    days = {name: (folder / name).read_bytes() for name in ("daily.csv", "daily.parquet", "users.parquet")}
    for name in days:
        (folder / name).unlink()
    RunFolder(folder).delete_day_files()
    says(folder, status="running")
    live = LiveRun(folder)
    assert (
        "no complete day to read out yet" in live.page().html and live.state()["said"] == "live: no day is complete yet"
    )
    for name, content in days.items():
        (folder / name).write_bytes(content)
    assert "no complete day" not in live.page().html and live.state()["said"] == "live: day 4 of 3 is complete"


@pytest.mark.parametrize("name", ["manifest.json", "daily.parquet", "daily.csv", "config.yaml"])
def test_a_folder_that_is_half_there_is_said_and_gets_over_it(folder: Path, name: str) -> None:
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[: len(whole) // 3])
    live = LiveRun(folder)
    if name != "daily.csv":  # a third of a table is a table
        assert "cannot be read at this moment" in live.page().html and name in live.page().html
    live.state()
    (folder / name).write_bytes(whole)
    says(folder, status="running")
    assert "cannot be read" not in live.page().html and live.state()["status"] == "running"


def test_a_failed_run_says_why(folder: Path) -> None:
    says(folder, status="failed", error="DivergedError: <b>too far</b>")
    assert "failed: DivergedError: &lt;b&gt;too far&lt;/b&gt;" in LiveRun(folder).page().html


def test_mistakes_are_named(folder: Path, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        busy = lab("watch", folder, "--port", taken.getsockname()[1])
    assert busy.code == 2 and "cannot be had on 127.0.0.1" in busy.err
    no_run, no_arm, no_port = (
        lab("watch", tmp_path),
        lab("watch", folder, "--baseline", "z"),
        lab("watch", folder, "--port", 70_000),
    )
    assert no_run.code == no_arm.code == no_port.code == 2
    assert "is no run folder" in no_run.err and "the arms are 00, 01" in no_arm.err and "from 0 to 65535" in no_port.err


@pytest.mark.slow
def test_a_run_is_watched_from_its_first_minute_to_its_end(tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    run = start("run", tiny, "--out", out, "--workers", 1, "--quiet")
    wait_until((out / "manifest.json").exists, run)
    said: list[str] = []
    with serve(LiveRun(out)) as address:
        while run.poll() is None:
            assert ask(address).status == 200
            said.append(json.loads(ask(address, "/state").text)["said"])
            time.sleep(0.3)
        said.append(json.loads(ask(address, "/state").text)["said"])
        assert main_of(ask(address).text) == main_of((out / "report.html").read_text())
    assert run.returncode == 0 and said[-1] == "finished: day 3 of 3 is complete"
    assert {one.partition(":")[0] for one in said} == {"live", "finished"}


@pytest.mark.slow
def test_ctrl_c_ends_the_page_in_order(folder: Path) -> None:
    watch = start("watch", folder, stdout=subprocess.PIPE)
    assert watch.stdout is not None
    assert ask(watch.stdout.readline().strip()).status == 200
    watch.send_signal(signal.SIGINT)
    _, told = watch.communicate(timeout=60)
    assert watch.returncode == 0 and "Traceback" not in told
