"""python -m simulator data: what is known, downloads that nobody makes unasked, and what a file holds."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reloop_stream.config.yaml_files import parse_yaml
from simulator.__main__ import main
from simulator.datasets.publications import PUBLICATIONS
from simulator.scenario import parse_scenario
from tests.simulator.datasets.logged import N, log_of
from tests.simulator.datasets.site import DATA, a_site


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """MovieLens, published by this machine."""
    with a_site() as site:
        publication = PUBLICATIONS["movielens-small"]._replace(files=site.published()["set"].files)
        monkeypatch.setitem(PUBLICATIONS, "movielens-small", publication)
        yield


def test_what_is_known_is_listed_with_where_it_lies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ml-25m.zip").write_bytes(b"")
    assert main(["data", "list", "--to", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in PUBLICATIONS) and "not fetched" in shown and "by hand" in shown
    assert main(["data", "list", "--json", "--to", str(tmp_path)]) == 0
    listed = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
    assert listed.keys() == PUBLICATIONS.keys()
    assert listed["movielens-25m"]["path"] == str(tmp_path / "ml-25m.zip") and listed["criteo"]["path"] is None
    assert listed["movielens-25m"]["files"][0]["sha256"] and listed["criteo"]["terms"] and listed["criteo"]["steps"]


@pytest.mark.parametrize("answer, is_wanted", [("y\n", True), ("n\n", False), ("\n", False), ("", False)])
def test_terms_are_shown_and_asked_for_before_a_download(
    site: None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    is_wanted: bool,
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    assert main(["data", "fetch", "movielens-small", "--to", str(tmp_path)]) == (0 if is_wanted else 1)
    out, err = capsys.readouterr()
    one = PUBLICATIONS["movielens-small"]
    assert all(said in err for said in (one.title, one.publisher, one.page, one.licence, one.terms, "sha256"))
    path = tmp_path / "set.zip"
    assert out == (f"{path}\n" if is_wanted else "") and path.exists() == is_wanted


def test_without_a_terminal_the_terms_are_accepted_by_a_flag(
    site: None, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    fetch = ["data", "fetch", "movielens-small", "--to", str(tmp_path)]
    assert main(fetch) == 2 and "--yes" in capsys.readouterr().err and not [*tmp_path.iterdir()]
    assert main([*fetch, "--yes"]) == 0 and (tmp_path / "set.zip").read_bytes() == DATA
    assert main(fetch) == 0  # it is there: nothing to accept
    assert capsys.readouterr().out == f"{tmp_path / 'set.zip'}\n" * 2


def test_what_is_handed_out_by_hand_says_its_steps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "fetch", "criteo", "--to", str(tmp_path)]) == 1
    assert PUBLICATIONS["criteo"].steps in capsys.readouterr().err


def test_a_description_is_printed_with_a_scenario_below(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    log_of().assign(**{"[b]": 1}).to_csv("log.csv", index=False)
    assert main(["data", "describe", "log.csv"]) == 0
    text, _, scenario = capsys.readouterr().out.partition("# A scenario that replays it:\n")
    assert f"rows    {N}" in text and f"{log_of()['bought'].mean():.2%}, by data.label.equals: 1 on 'bought'" in text
    assert re.search(r"user_id +integer +.* 39 ", text) and "not in order: a replay sorts them" in text
    assert re.search(r"\[b\] +integer +1 +1 ", text) and "'who' is taken for the user" in text
    assert parse_scenario(parse_yaml(scenario, "x")).data is not None


@pytest.mark.slow
def test_a_description_s_scenario_is_written_and_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    log_of().to_csv("my log.csv", index=False)
    describe = ["data", "describe", "my log.csv", "--rows", "300", "--scenario", "x.yaml"]
    assert main(describe) == 0
    out = capsys.readouterr().out
    assert "rows    the first 300" in out and "python -m simulator run x.yaml" in out and "phases" not in out
    assert main(["run", "x.yaml", "--out", "run", "--workers", "1", "--quiet"]) == 0
    assert main(describe) == 2 and "x.yaml is there already" in capsys.readouterr().err


MISTAKES = {
    "nowhere": (["nowhere.csv"], "data.path: nowhere.csv: no such file or folder"),
    "empty": (["empty.csv"], "empty.csv: is empty"),
    "a picture": (["picture.png"], "picture.png: is a picture, no table"),
    "an empty folder": (["folder"], "folder: is a folder of no known data set (has no file)"),
    "no rows": (["log.csv", "--rows", "0"], "--rows: got 0, must be at least 1"),
    "no clicks": (["calm.csv"], "calm.csv: no row of 600 is a click by data.label.equals: 1 on 'bought'"),
    "a broken row": (["broken.csv"], "broken.csv: line 602 has 1 values, the header has 5"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_what_cannot_be_described_is_a_mistake_with_a_remedy(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty.csv").touch()
    Path("picture.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    Path("folder").mkdir()
    log_of().to_csv("log.csv", index=False)
    log_of().assign(bought=0).to_csv("calm.csv", index=False)
    Path("broken.csv").write_text(Path("log.csv").read_text() + "1\n")
    arguments, message = MISTAKES[name]
    assert main(["data", "describe", *arguments]) == 2 and message in capsys.readouterr().err
