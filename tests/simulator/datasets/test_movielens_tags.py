"""MovieLens' tags: those that were given as clicks, beside drawn ones that were not."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator.datasets.rows import ReplayRows
from simulator.errors import DataError
from simulator.replay.stream import ReplayStream
from tests.simulator.datasets.logged import read
from tests.simulator.replay.described import stream_of

HEADER = "userId,movieId,tag,timestamp"
GIVEN = [(1, 10, "funny", 5), (1, 10, "dark", 6), (2, 10, "funny", 7), (2, 20, '"slow, long"', 3), (3, 20, "dark", 9)]


def tags(folder: Path, rows: list[tuple[int, int, str, int]] = GIVEN, **more: Any) -> dict[str, Any]:
    lines = [f"{user},{film},{tag},{1_000_000_000 + time}" for user, film, tag, time in rows]
    (folder / "tags.csv").write_text("\n".join([HEADER, *lines]) + "\n")
    return {"format": "movielens_tags", "path": str(folder), **more}


def triples(rows: ReplayRows, clicked: bool) -> list[tuple[int, int, str]]:
    chosen = rows.take(np.flatnonzero(rows.label == clicked))
    return list(zip(chosen.user_id.tolist(), chosen.item_id.tolist(), chosen.features["tag"].tolist(), strict=True))  # type: ignore[union-attr]


def test_every_given_tag_is_a_click_beside_others_that_were_not_given(tmp_path: Path) -> None:
    rows = read(tags(tmp_path, negatives=3))
    given = {(user, film, tag.strip('"')) for user, film, tag, _ in GIVEN}
    assert set(triples(rows, clicked=True)) == given and len(rows) == 4 * len(GIVEN)
    drawn = triples(rows, clicked=False)
    assert not given & set(drawn)
    assert sorted((user, film) for user, film, _ in drawn) == sorted(3 * [(user, film) for user, film, *_ in GIVEN])
    assert (np.diff(rows.time_ms) >= 0).all() and rows.time_ms[0] == 1_000_000_003_000


def test_what_is_drawn_depends_on_the_seed_and_not_on_the_order_of_the_file(tmp_path: Path) -> None:
    one, other = read(tags(tmp_path)), read(tags(tmp_path, GIVEN[::-1]))
    assert triples(one, False) == triples(other, False)
    many = [(user, film, f"t{(user * 7 + film) % 31}", user + film) for user in range(9) for film in range(9)]
    assert triples(read(tags(tmp_path, many)), False) != triples(read(tags(tmp_path, many, seed=2)), False)


def test_drawn_tags_are_uniform_over_those_that_were_not_given(tmp_path: Path) -> None:
    rows = read(tags(tmp_path, [(1, 1, "a", 0), *((2, film, tag, 0) for film, tag in enumerate("bcd"))], negatives=100))
    mine = [tag for user, _, tag in triples(rows, False) if user == 1]
    counts = np.array([mine.count(tag) for tag in "bcd"])
    assert counts.sum() == 100 and (np.abs(counts - 100 / 3) < 4 * np.sqrt(100 * 2 / 9)).all()


def test_a_folder_and_a_zip_give_the_same_rows(tmp_path: Path) -> None:
    data = tags(tmp_path)
    with zipfile.ZipFile(tmp_path / "ml.zip", "w") as archive:
        archive.write(tmp_path / "tags.csv", "ml-small/tags.csv")
    zipped = read(data | {"path": str(tmp_path / "ml.zip")})
    assert triples(zipped, False) == triples(read(data), False)


def test_bad_rows_and_what_is_no_such_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has no tags\.csv; name a MovieLens folder"):
        read({"format": "movielens_tags", "path": str(tmp_path)})
    with pytest.raises(DataError, match=r"column 'movieId' holds 'x' in row 2 \(line 3\)"):
        read(tags(tmp_path, [GIVEN[0], (1, "x", "dark", 3)]))  # type: ignore[list-item]
    with pytest.raises(DataError, match="a user gave a film every tag that there is"):
        read(tags(tmp_path, GIVEN[:2]))


def test_tags_can_be_replayed(tmp_path: Path) -> None:
    many = [(user, film, f"t{(user + film) % 31}", 100 * user + film) for user in range(20) for film in range(20)]
    stream: ReplayStream = stream_of(tags(tmp_path, many))
    assert stream.base_rate == pytest.approx(1 / 3, abs=0.05)
