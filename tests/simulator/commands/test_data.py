"""python -m simulator data: what is known, and downloads that nobody makes unasked."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator.__main__ import main
from simulator.datasets.publications import PUBLICATIONS
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
