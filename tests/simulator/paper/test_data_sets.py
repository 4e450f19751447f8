"""Reading, splitting and encoding a data set for the tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reloop_stream.events import ListColumn
from simulator.errors import DataError
from simulator.paper.data_sets import prepare, read
from tests.simulator.datasets.test_movielens import movielens
from tests.simulator.paper.made import libfm, published


def test_a_published_split_is_kept_by_every_seed(tmp_path: Path) -> None:
    corpus = read("movielens_tag", str(published(tmp_path)))
    one, other = prepare(corpus, 1), prepare(corpus, 2)
    assert [len(part) for part in (one.train, one.valid, one.test)] == [210, 60, 30]
    np.testing.assert_array_equal(one.test.rows.slots, other.test.rows.slots)
    alone = read("movielens_tag", str(tmp_path / "tags.test.libfm"))
    np.testing.assert_array_equal(one.test.label, alone.label)
    assert corpus.test_share == 0 and one.time_ms is None


def test_one_file_is_split_eight_to_one_to_one_anew_by_each_seed(tmp_path: Path) -> None:
    corpus = read("movielens_tag", str(libfm(tmp_path / "tags.libfm", 200)))
    one, again, other = prepare(corpus, 1), prepare(corpus, 1), prepare(corpus, 2)
    assert [len(part) for part in (one.train, one.valid, one.test)] == [160, 20, 20]
    assert sum(part.label.sum() for part in (one.train, one.valid, one.test)) == corpus.label.sum()
    np.testing.assert_array_equal(one.test.rows.slots, again.test.rows.slots)
    assert (one.test.label != other.test.label).any() and corpus.test_share == 1 / 8


def test_values_that_no_training_row_has_share_a_row_of_their_field(tmp_path: Path) -> None:
    for part, lines in (("train", "1 1:1 5:1 9:1\n-1 2:1 5:1 9:1"), ("valid", "1 3:1 5:1 9:1\n-1 1:1 5:1 9:1")):
        (tmp_path / f"x.{part}.libfm").write_text(lines + "\n")
    (tmp_path / "x.test.libfm").write_text("1 4:1 7:1 9:1\n-1 2:1 5:1 9:1\n")
    found = prepare(read("movielens_tag", str(tmp_path)), 1)
    unknown, first = found.test.rows.slots[0, 0], found.train.rows.slots[:, 0]
    assert found.valid.rows.slots[0, 0] == unknown not in first and found.valid.rows.slots[1, 0] == first[0]
    assert found.test.rows.slots[0, 1] != found.train.rows.slots[0, 1] and found.encoder.rows == 3 + 4


def test_ratings_have_a_clock_and_genres_as_lists(tmp_path: Path) -> None:
    found = prepare(read("ml_ratings", str(movielens(tmp_path, as_zip=False))), 1)
    assert found.time_ms is not None and len(found.time_ms) == len(found.train)
    ((rows, offsets, _),) = found.test.rows.lists
    assert ListColumn(rows, offsets).offsets[-1] == len(rows) and set(np.diff(offsets).tolist()) <= {0, 1, 2}


def test_a_part_without_a_click_is_refused(tmp_path: Path) -> None:
    corpus = read("movielens_tag", str(libfm(tmp_path / "tags.libfm", 12)))
    with pytest.raises(DataError, match="of 12 rows the 1 of validation are all clicks, or none is"):
        prepare(corpus, 1)


def test_a_folder_without_a_part_is_refused(tmp_path: Path) -> None:
    published(tmp_path)
    (tmp_path / "tags.test.libfm").unlink()
    with pytest.raises(DataError, match=r"has no file for test; it must have one, named such as test\.csv"):
        read("movielens_tag", str(tmp_path))
