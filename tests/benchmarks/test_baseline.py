"""Measuring beside an earlier commit, in a small repository of its own."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from benchmarks import baseline
from benchmarks.baseline import NoBaseline, Pairs, checkouts

VALUE = "VALUE = {}\n"
PROBE = """
import simulator

def value(times):
    return {"value": times * simulator.VALUE}
"""


def git(here: Path, *words: str) -> str:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", "-C", str(here), *who, *words], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Its `simulator.VALUE` is 2 at the first commit, which has no benchmarks, and 6 in what lies there."""
    here = tmp_path / "repository"
    (here / "simulator").mkdir(parents=True)
    git(here, "init", "--quiet")
    for value in (2, 6):
        (here / "simulator" / "__init__.py").write_text(VALUE.format(value), encoding="utf-8")
        git(here, "add", ".")
        git(here, "commit", "--quiet", "-m", "a value")
    (here / "benchmarks").mkdir()
    (here / "benchmarks" / "__init__.py").touch()
    shutil.copy(baseline.__file__, here / "benchmarks")
    (here / "benchmarks" / "probe.py").write_text(PROBE, encoding="utf-8")
    return here


@pytest.fixture(autouse=True)
def _this_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(baseline.HERE))


def test_each_side_measures_its_own_code_by_the_benchmark_that_lies_here(repository: Path) -> None:
    with checkouts("HEAD~1", repository) as where:
        pairs = Pairs(where, "benchmarks.probe:value", times=10)
        pairs.measure()
        pairs.measure()
    assert pairs.here() == {"value": 60}
    assert pairs.baseline() == {"value": 20}
    assert pairs.over_baseline("value") == 3
    assert pairs.over("value", [30, 20]) == 2.5


def test_nothing_of_the_baseline_is_left_behind(repository: Path) -> None:
    with checkouts("HEAD~1", repository) as where:
        assert where.roots[1].exists()
    assert not where.roots[1].exists()
    assert len(git(repository, "worktree", "list").splitlines()) == 1


def test_none_measures_here_alone(repository: Path) -> None:
    with checkouts("none", repository) as where:
        pairs = Pairs(where, "benchmarks.probe:value", times=1)
        pairs.measure()
    assert pairs.here() == {"value": 6}
    assert pairs.baseline() == {}


def test_a_commit_that_cannot_be_had_is_said_with_what_to_do(repository: Path, tmp_path: Path) -> None:
    first = git(repository, "rev-parse", "HEAD~1")
    git(tmp_path, "clone", "--quiet", "--depth", "1", f"file://{repository}", "shallow")
    with pytest.raises(NoBaseline, match=rf"got {first}, must be a commit.*git fetch --unshallow"):
        checkouts(first, tmp_path / "shallow").__enter__()
    with pytest.raises(NoBaseline, match=r"got nonsense.*or none.*git fetch"):
        checkouts("nonsense", repository).__enter__()
    shutil.rmtree(repository / ".git")
    with pytest.raises(NoBaseline, match=r"no git repository.*give none"):
        checkouts("HEAD", repository).__enter__()
