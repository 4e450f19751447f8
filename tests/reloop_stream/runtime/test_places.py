"""A user without a home folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from reloop_stream.runtime.places import NoHome, user_cache
from simulator.datasets.rows import find
from simulator.errors import DataError


@pytest.fixture
def _homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", lambda path: fail(path) if str(path).startswith("~") else path)
    monkeypatch.setattr(Path, "home", lambda: fail(Path()))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)


@pytest.mark.usefixtures("_homeless")
def test_a_user_without_a_home_is_told_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NoHome, match="set XDG_CACHE_HOME"):
        user_cache()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert user_cache() == tmp_path / "reloop-stream"


@pytest.mark.usefixtures("_homeless")
@pytest.mark.parametrize("path", ["lost.zip", "~/lost.zip"])
def test_a_data_set_that_is_not_there_is_missed_and_not_the_home(path: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        find(path)
    (tmp_path / "found.zip").touch()
    assert find(str(tmp_path / "found.zip")) == tmp_path / "found.zip"
