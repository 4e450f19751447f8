"""Cells: kept one by one, never mixed with those of other settings, and one that fails takes none with it."""

from __future__ import annotations

import math
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import DataError, RunFailed, RunFolderError
from simulator.studies.cells import CellsFailed, Failure, Rows, StudyFolder, making, safe_key, usual_folder
from simulator.studies.engines import Interrupted, Local

SETTINGS = {"study": "sweep", "scenario": {"world": {"ctr": 0.1}, "arms": [{"name": "a"}, {"name": "b"}]}}


class Numbers(NamedTuple):
    """A batch of cells of which each holds its number; those of `impossible` fail."""

    numbers: tuple[int, ...]
    impossible: frozenset[int] = frozenset()

    @property
    def keys(self) -> list[str]:
        return [f"cell{number}" for number in self.numbers]

    def make(self) -> dict[str, Rows]:
        if bad := self.impossible & {*self.numbers}:
            raise DataError(f"{min(bad)} is impossible")
        return {f"cell{number}": [{"number": number}] for number in self.numbers}

    def halves(self) -> Sequence[Numbers]:
        middle = len(self.numbers) // 2
        return [self._replace(numbers=self.numbers[:middle]), self._replace(numbers=self.numbers[middle:])]


def made(batch: Numbers, folder: StudyFolder) -> list[Failure]:
    with making(folder, Local(1), len(batch.keys), quiet=True) as make_all:
        return make_all([batch], len(batch.keys))


def test_what_is_kept_is_read_again_and_what_is_undefined_is_null(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path, SETTINGS)
    assert not folder.has("one")
    folder.keep("one", [{"auc": math.nan, "n": 3}])
    assert folder.has("one") and folder.rows("one") == [{"auc": None, "n": 3}]
    assert "null" in (tmp_path / "cells" / "one.json").read_text()
    with pytest.raises(FileNotFoundError):
        folder.rows("two")


def test_other_settings_are_refused_by_the_names_of_all_that_differs(tmp_path: Path) -> None:
    StudyFolder(tmp_path, SETTINGS)
    StudyFolder(tmp_path, SETTINGS)
    other = {"study": "sweep", "scenario": {"world": {"ctr": 0.2}, "arms": [{"name": "a"}, {"name": "c"}]}, "tune": 3}
    with pytest.raises(RunFolderError) as raised:
        StudyFolder(tmp_path, other)
    assert str(raised.value) == (
        f"{tmp_path / 'study.yaml'}: its cells are of scenario.world.ctr 0.1, not 0.2, and of scenario.arms.1.name b, not c, "
        "and of tune none, not 3; choose another --out"
    )
    with pytest.raises(RunFolderError, match=r"of scenario.arms \[.*\], not \[\]; choose"):
        StudyFolder(tmp_path, {**SETTINGS, "scenario": {"world": {"ctr": 0.1}, "arms": []}})


def test_the_same_settings_lie_in_the_same_folder_unless_it_is_said() -> None:
    one, other = usual_folder("news", SETTINGS), usual_folder("news", {**SETTINGS, "tune": 3})
    assert one == usual_folder("news", dict(reversed(SETTINGS.items()))) != other
    assert one.parts[:-1] == ("runs",) and one.name.startswith("sweep-news-")


@settings(deadline=None)
@given(st.text(min_size=1, max_size=170))
def test_a_key_is_the_name_of_a_file_and_differs_where_the_text_does(text: str) -> None:
    key = safe_key(text)
    assert Path(f"{key}.json").name == f"{key}.json" and len(key.encode()) < 200
    assert key == safe_key(text) and (key == text or key != safe_key(key))


def test_a_cell_that_fails_is_named_and_takes_none_of_its_batch_with_it(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path, SETTINGS)
    failures = made(Numbers(tuple(range(7)), frozenset({2, 5})), folder)
    assert sorted(failures) == [Failure("cell2", "2 is impossible", True), Failure("cell5", "5 is impossible", True)]
    assert {number for number in range(7) if folder.has(f"cell{number}")} == {0, 1, 3, 4, 6}
    error = CellsFailed([*failures, Failure("cell6", "2 is impossible", True)], 7)
    assert str(error).splitlines() == [
        "3 of 7 cells failed; the others are kept, and the same command tries these again:",
        "  cell2 and 1 more: 2 is impossible",
        "  cell5: 5 is impossible",
    ]
    assert not error.is_mistake and CellsFailed(failures, 2).is_mistake


class Broken(Numbers):
    def make(self) -> dict[str, Rows]:
        raise RunFailed("Stopped", "the disk is full", Path("gone")) if self.numbers else ZeroDivisionError("by 0")


def test_a_failure_says_what_it_was_and_not_how_to_resume_a_folder_that_is_gone(tmp_path: Path) -> None:
    (run,) = made(Broken((1,)), StudyFolder(tmp_path, SETTINGS))
    assert run == Failure("cell1", "the disk is full", False)


def test_a_stop_keeps_what_is_done(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path, SETTINGS)

    class Stopping(Numbers):
        def make(self) -> dict[str, Rows]:
            signal.raise_signal(signal.SIGINT)
            return super().make()

    with pytest.raises(Interrupted), making(folder, Local(1), 2, quiet=True) as make_all:
        make_all([Stopping((1,)), Stopping((2,))], 2)
    assert folder.has("cell1") and not folder.has("cell2")
