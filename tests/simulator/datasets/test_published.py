"""Published data sets: what stands in their files is what is read, and what is none of them is refused by file and remedy."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from reloop_stream.events import ListColumn
from simulator.datasets.prepared import prepare
from simulator.datasets.read import open_source
from simulator.datasets.rejects import FILE_NAME
from simulator.errors import DataError
from tests.simulator.datasets.logged import facts_of, parsed, read
from tests.simulator.datasets.published import MONDAY, PUBLISHED, hashed


def lists(column: Any) -> list[list[Any]]:
    assert isinstance(column, ListColumn)
    return [column.values[a:b].tolist() for a, b in zip(column.offsets, column.offsets[1:], strict=False)]


def test_criteo_keeps_its_order_and_its_gaps(tmp_path: Path) -> None:
    rows = read(PUBLISHED["criteo"](tmp_path))
    features = {name: np.asarray(column).tolist() for name, column in rows.features.items()}
    assert rows.label.tolist() == [0, 1] and rows.time_ms.tolist() == [0, 1000]
    assert rows.user_id.tolist() == rows.item_id.tolist() == [0, 0]
    assert [features[f"I{i}"] for i in (1, 2, 3, 4, 13)] == [[1, -10], [-3, 20], [-10, 7], [0, 9], [9, 0]]
    assert features["C1"] == [hashed(0), "00000012"] and features["C26"] == [hashed(25), ""]
    assert len(features) == 2 + 13 + 26


def test_avazu_s_hours_are_the_clock_and_rows_within_them_keep_their_order(tmp_path: Path) -> None:
    rows = read(PUBLISHED["avazu"](tmp_path))
    hour = np.datetime64("2014-10-21T00:00", "ms").astype(np.int64)
    assert (rows.time_ms - hour).tolist() == [0, 1, 23 * 3_600_000] and rows.label.tolist() == [0, 1, 0]
    assert rows.user_id.tolist() == ["ddd2926e", "00000007", "ddd2926e"] and rows.item_id.tolist() == [15706, 15706, 99]
    assert np.asarray(rows.features["C20"]).tolist() == [-1] * 3
    assert np.asarray(rows.features["device_model"]).tolist() == ["00000042"] * 3
    assert not {"id", "click", "hour"} & {*rows.features}


RELEASES = ["movielens 25m", "movielens zip", "movielens ratings alone", "movielens 1m", "movielens 100k"]


@pytest.mark.parametrize("release", RELEASES)
def test_every_release_of_movielens_tells_the_same_ratings(tmp_path: Path, release: str) -> None:
    rows = read(PUBLISHED[release](tmp_path))
    assert rows.time_ms.tolist() == [978_300_760_000 + second * 1000 for second in range(4)]
    assert rows.user_id.tolist() == [1, 2, 1, 1] and rows.item_id.tolist() == [2, 1, 1, 3]
    assert rows.label.tolist() == [0, 1, 1, 0]
    assert np.asarray(rows.features["user_count"]).tolist() == [0, 0, 1, 1]
    if release != "movielens ratings alone":
        none = ["(no genres listed)"] if release in ("movielens 25m", "movielens zip") else []
        assert lists(rows.features["genres"]) == [none, ["Comedy", "Romance"], ["Comedy", "Romance"], []]
        assert np.asarray(rows.features["year"]).tolist() == [0, 2001, 2001, 0]


@pytest.mark.parametrize("kind", ["frappe libfm", "frappe csv", "frappe in three parts"])
def test_frappe_says_the_same_in_libfm_and_csv(tmp_path: Path, kind: str) -> None:
    rows = read(PUBLISHED[kind](tmp_path))
    n = 3 if kind == "frappe in three parts" else 2  # train, then validation, then test
    first = [1, 2, 1][:n]
    assert rows.label.tolist() == [1, 0, 1][:n] and rows.time_ms.tolist() == [0, 1000, 2000][:n]
    assert rows.user_id.tolist() == first and rows.item_id.tolist() == [100 + one for one in first]
    assert np.asarray(rows.features["city"]).tolist() == [900 + one for one in first] and len(rows.features) == 10


@pytest.mark.parametrize("kind", ["movielens_tag libfm", "movielens_tag csv"])
def test_movielens_tags_have_three_fields(tmp_path: Path, kind: str) -> None:
    rows = read(PUBLISHED[kind](tmp_path))
    features = {name: np.asarray(column).tolist() for name, column in rows.features.items()}
    assert features == {"user_id": [1, 2], "item_id": [101, 102], "tag": [201, 202]} and rows.label.tolist() == [1, 0]


def test_mind_s_impressions_are_slates_in_the_order_of_time(tmp_path: Path) -> None:
    rows = read(PUBLISHED["mind"](tmp_path))
    assert rows.request_id is not None and rows.position is not None
    assert rows.request_id.tolist() == [1, 1, 1, 2, 2] and rows.position.tolist() == [0, 1, 2, 0, 1]
    assert rows.item_id.tolist() == ["N35729", "N55689", "N1", "N55689", "N35729"]
    assert rows.label.tolist() == [0, 0, 1, 1, 0] and rows.user_id.tolist() == ["U91836"] * 3 + ["U13740"] * 2
    noon = np.datetime64("2019-11-11T11:59:07", "ms").astype(np.int64)
    after = np.datetime64("2019-11-11T13:05:58", "ms").astype(np.int64)
    assert rows.time_ms.tolist() == [noon] * 3 + [after] * 2
    assert lists(rows.features["history"]) == [[]] * 3 + [["N55189", "N42782", "N34694"]] * 2
    assert np.asarray(rows.features["category"]).tolist() == ["news", "sports", "", "sports", "news"]
    latest = read({**PUBLISHED["mind"](tmp_path), "history": 2})
    assert lists(latest.features["history"])[-1] == ["N42782", "N34694"]


def test_trivago_s_clickouts_are_slates_and_what_is_left_out_is_said(tmp_path: Path) -> None:
    data = PUBLISHED["trivago"](tmp_path)
    rows = read(data)
    assert rows.request_id is not None and rows.position is not None
    assert rows.item_id.tolist() == [109038, 666856, 3400638, 1253714, 109038]
    assert rows.label.tolist() == [0, 1, 0, 0, 1] and rows.position.tolist() == [0, 1, 0, 1, 2]
    assert rows.request_id.tolist() == [1, 1, 0, 0, 0] and rows.user_id.tolist()[0] == "0001VQMGUI65"
    assert rows.time_ms.tolist() == [(MONDAY + 5) * 1000] * 2 + [(MONDAY + 9) * 1000] * 3
    assert np.asarray(rows.features["price"]).tolist() == [65, 112, 95, 66, 501]
    assert np.asarray(rows.features["city"]).tolist() == ["Sydney, Australia"] * 5
    notes = facts_of(data, tmp_path).notes
    assert "1 rows were left out: actions other than clickouts" in notes
    assert "1 rows were left out: clickouts whose item is hidden (the published test part)" in notes


def test_kuairand_s_click_is_the_feedback_that_the_scenario_names(tmp_path: Path) -> None:
    data = PUBLISHED["kuairand"](tmp_path)
    rows = read(data)
    assert rows.time_ms.tolist() == [1_650_495_674_416, 1_650_495_674_417]
    assert rows.user_id.tolist() == [5, 0] and rows.item_id.tolist() == [71, 3374] and rows.label.tolist() == [0, 1]
    assert read({**data, "label": "long_view"}).label.tolist() == [1, 0]
    features = {name: np.asarray(rows.features[name]).tolist() for name in ("tab", "is_rand", "duration_ms")}
    assert features == {"tab": [4, 4], "is_rand": [1, 1], "duration_ms": [8567, 8567]}


FORMATS = sorted({name.split()[0] for name in PUBLISHED})
REMEDY = r"; is it |; say |; name |; it must |; save |: is no |must have|the one with"


@pytest.mark.parametrize("wanted", FORMATS)
def test_the_files_of_another_data_set_are_refused_with_file_and_remedy(tmp_path: Path, wanted: str) -> None:
    own = next(write for name, write in PUBLISHED.items() if name.split()[0] == wanted)(tmp_path / "own")
    for number, (name, write) in enumerate(PUBLISHED.items()):
        other = write(tmp_path / str(number))
        if other["format"] != wanted:
            with pytest.raises(DataError, match=REMEDY) as caught:
                read({**own, "path": other["path"]})
            assert str(caught.value).startswith(other["path"]), name


def test_a_file_in_a_zip_of_several_is_named_by_a_path_that_leads_into_it(tmp_path: Path) -> None:
    data = PUBLISHED["movielens zip"](tmp_path)
    table = {"format": "csv", "user": "userId", "item": "movieId", "label": {"column": "rating", "at_least": 4}}
    rows = read({**table, "path": f"{data['path']}/ml-25m/ratings.csv", "time": "timestamp"})
    assert rows.label.tolist() == [0, 1, 1, 0]
    with pytest.raises(DataError, match=r"ml-25m.zip: has no tags.csv; it has ml-25m/movies.csv, ml-25m/ratings.csv"):
        read({**table, "path": f"{data['path']}/tags.csv"})


class Damaged(NamedTuple):
    """A data set with a line that is damaged. path: what the scenario names. file: where the line lies."""

    data: dict[str, Any]
    file: Path
    line: int


def damaged(folder: Path, kind: str, change: Callable[[bytes], bytes], more: int = 0, at: int = -1) -> Damaged:
    """The last line changed (or line `at` of the events)."""
    data = PUBLISHED[kind](folder, more)
    path = Path(data["path"])
    events = {"movielens": "r*s.*", "mind": "behaviors.tsv", "kuairand": "log_*.csv", "frappe": "*.train.libfm"}
    if path.is_dir():
        (path,) = [*path.glob("u.data"), *path.glob(events[data["format"]])]
    lines = path.read_bytes().splitlines()
    lines[at] = change(lines[at])
    path.write_bytes(b"\n".join(lines))
    return Damaged(data, path, at + 1 if at >= 0 else len(lines))


KINDS = [name for name in PUBLISHED if name != "movielens zip"]
# Of each format a number in a line, which is then none.
NUMBERS: dict[str, tuple[bytes, int]] = {
    "criteo": (b"\t", 4),
    "avazu": (b",", 15),
    "movielens 25m": (b",", 2),
    "movielens 1m": (b"::", 2),
    "movielens 100k": (b"\t", 2),
    "frappe libfm": (b" ", 0),
    "frappe csv": (b",", 0),
    "movielens_tag libfm": (b" ", 0),
    "movielens_tag csv": (b",", 0),
    "mind": (b"\t", 0),
    "trivago": (b",", 2),
    "kuairand": (b",", 13),
}


def with_inf(kind: str) -> Callable[[bytes], bytes]:
    mark, place = NUMBERS[kind]

    def change(line: bytes) -> bytes:
        cells = line.split(mark)
        cells[place] = b"inf"
        return mark.join(cells)

    return change


def left_over(found: Damaged, share: float) -> tuple[int, list[str]]:
    """Rows that were read, and what bad_rows.csv says of the others."""
    config = parsed({**found.data, "bad_rows": share})
    folder = found.file.parent / "prepared"
    with prepare(open_source(config), config, folder) as prepared:
        header, *told = csv.reader((folder / FILE_NAME).open())
        assert header == ["reason"] and prepared.facts.rejected == len(told)
        assert any(f"{len(told)} rows that cannot be read were left out" in note for note in prepared.facts.notes)
        return len(prepared), [reason for (reason,) in told]


@pytest.mark.parametrize("kind", KINDS)
def test_a_line_that_ends_in_its_middle_is_named_or_left_out(tmp_path: Path, kind: str) -> None:
    whole = len(read(PUBLISHED[kind](tmp_path / "whole", 50)))
    found = damaged(tmp_path, kind, lambda line: line[: len(line) // 3], 50)
    with pytest.raises(DataError, match=rf"{found.file}: .*line {found.line}\b"):
        read(found.data)
    rows, told = left_over(found, 0.1)
    assert whole - 3 <= rows < whole and len(told) == 1 and f"line {found.line}" in told[0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_line_in_another_encoding_is_named_or_left_out(tmp_path: Path, kind: str) -> None:
    found = damaged(tmp_path, kind, lambda line: line[:-1] + b"\xe9" + line[-1:], 50, 5)
    if kind in ("movielens 1m", "movielens 100k"):  # published in Latin-1
        message = rf"{found.file}: column 'timestamp' .* \(line {found.line}\)"
    else:
        message = rf"{found.file}: line {found.line} is not UTF-8 .*save the file as UTF-8"
    with pytest.raises(DataError, match=message):
        read(found.data)
    assert len(left_over(found, 0.1)[1]) == 1


@pytest.mark.parametrize("kind", NUMBERS)
def test_an_infinity_in_line_300_is_named_or_left_out(tmp_path: Path, kind: str) -> None:
    found = damaged(tmp_path, kind, with_inf(kind), 400, 299)
    with pytest.raises(DataError, match=rf"{found.file}: .*line 300\b.*inf|{found.file}: .*inf.*line 300\b"):
        read(found.data)
    rows, told = left_over(found, 0.01)
    assert rows > 390 and len(told) == 1 and "line 300" in told[0]


def test_more_bad_rows_than_are_allowed_end_the_reading(tmp_path: Path) -> None:
    found = damaged(tmp_path, "criteo", lambda _: b"1\t2", 20)
    with pytest.raises(
        DataError, match=r"1 of 22 rows cannot be read, data.bad_rows allows a share of 0.04; the first: "
    ):
        read({**found.data, "bad_rows": 0.04})


GONE = {
    "movielens 25m": ("ratings.csv", "has no ratings.csv, ratings.dat, u.data; is it a MovieLens folder or zip?"),
    "frappe in three parts": ("frappe.validation.libfm", "has no file for validation; it must have one, named such as"),
    "mind": ("behaviors.tsv", "has no behaviors.tsv; is it a folder of MIND, unpacked?"),
    "kuairand": ("log_random_4_22_to_5_08_pure.csv", "has no log_*.csv; is it KuaiRand's folder?"),
}


@pytest.mark.parametrize("kind", GONE)
def test_a_folder_without_its_file_says_which(tmp_path: Path, kind: str) -> None:
    data = PUBLISHED[kind](tmp_path)
    name, message = GONE[kind]
    (Path(data["path"]) / name).unlink()
    with pytest.raises(DataError) as caught:
        read(data)
    assert message in str(caught.value) and str(caught.value).startswith(data["path"])


@pytest.mark.parametrize("kind", ["avazu", "movielens 25m", "frappe csv", "movielens_tag csv", "trivago", "kuairand"])
def test_a_column_that_is_there_twice_is_refused(tmp_path: Path, kind: str) -> None:
    def twice(line: bytes) -> bytes:
        first, second, *rest = line.split(b",")
        name = second if kind == "avazu" else first  # avazu's first column is not read
        return b",".join([name, name, *rest])

    found = damaged(tmp_path, kind, twice, at=0)
    with pytest.raises(DataError, match=rf"{found.file}: has 2 columns of the name '\w+'; give each its own name"):
        read(found.data)
