"""The revision in a manifest is that of the code that ran, or none."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from simulator.run_folder.provenance import CODE, git_revision, versions


def git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=someone", "-c", "user.email=someone@example.org")
    return subprocess.run(["git", *who, *words], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


def repository(folder: Path) -> Path:
    """With one commit, of a file of its own."""
    folder.mkdir(parents=True)
    git(folder, "init", "-q")
    (folder / "notes.txt").write_text("one\n", encoding="utf-8")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "first")
    return folder


def packages(folder: Path) -> tuple[Path, Path]:
    """Two packages in the folder, in place of ours."""
    for name in ("learner", "lab"):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text("", encoding="utf-8")
    return folder / "learner", folder / "lab"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The repository that keeps the packages."""
    folder = repository(tmp_path / "home")
    packages(folder)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "packages")
    return folder


def of(folder: Path) -> str | None:
    return git_revision((folder / "learner", folder / "lab"))


def head(folder: Path) -> str:
    return git(folder, "rev-parse", "--short=12", "HEAD")


def test_it_is_that_of_the_repository_that_keeps_the_code(home: Path) -> None:
    assert of(home) == head(home)


@pytest.mark.parametrize("place", ["site", ".venv/lib/python3.11/site-packages"])
def test_a_repository_around_the_code_is_anothers(tmp_path: Path, place: str) -> None:
    theirs = repository(tmp_path / "theirs")
    assert git_revision(packages(theirs / place)) is None


def test_a_repository_that_keeps_one_of_the_packages_does_not_keep_the_code(home: Path, tmp_path: Path) -> None:
    assert git_revision((home / "lab", packages(tmp_path / "installed")[0])) is None


def test_without_a_repository_or_without_git_there_is_none(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert git_revision(packages(tmp_path / "unpacked")) is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert of(home) is None


def test_a_worktree_has_its_own_revision(home: Path, tmp_path: Path) -> None:
    git(home, "worktree", "add", "-q", "-b", "branch", str(tmp_path / "tree"))
    git(tmp_path / "tree", "commit", "-q", "--allow-empty", "-m", "more")
    assert of(tmp_path / "tree") == head(tmp_path / "tree") != of(home)


def test_the_environment_of_another_repository_changes_nothing(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, theirs = head(home), repository(tmp_path / "theirs")
    monkeypatch.setenv("GIT_DIR", str(theirs / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(theirs))
    assert of(home) == expected


def test_code_with_local_changes_is_marked(home: Path) -> None:
    clean = of(home)
    (home / "of_the_user.txt").write_text("not code\n", encoding="utf-8")
    assert of(home) == clean
    (home / "lab" / "new.py").write_text("", encoding="utf-8")
    assert of(home) == f"{clean}-dirty"
    (home / "lab" / "new.py").unlink()
    (home / "lab" / "__init__.py").write_text("changed = True\n", encoding="utf-8")
    assert of(home) == f"{clean}-dirty"


def test_our_version_is_told_where_the_installed_package_is_the_one_that_runs() -> None:
    # Tests run from a checkout, whose revision git tells.
    installed = any("site-packages" in str(package) for package in CODE)
    assert ("reloop-stream" in versions()) == installed and "numpy" in versions()
