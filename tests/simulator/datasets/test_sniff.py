"""How a file is written is told by its first lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from simulator.datasets.sniff import recognise
from simulator.errors import DataError
from tests.simulator.datasets.bandit import write_bandit
from tests.simulator.datasets.published import PUBLISHED


@pytest.mark.parametrize("kind", PUBLISHED)
def test_every_published_file_and_folder_is_recognised(tmp_path: Path, kind: str) -> None:
    data = PUBLISHED[kind](tmp_path, 20)
    found = recognise(data["path"])
    assert found.data == data and not found.said and not found.is_table


OPEN_BANDIT = ",timestamp,item_id,position,click,propensity_score,user_feature_0"
# Content → what the scenario says of it, beside its path.
WRITTEN: dict[str, tuple[bytes, dict[str, Any]]] = {
    "commas": (b"a,b\n1,2\n3,4\n", {"format": "csv"}),
    "tabs": (b"a\tb\n1\t2,5\n3\t4,5\n", {"format": "tsv"}),
    "semicolons": (b"a;b\n1;2,5\n3;4,5\n", {"format": "csv", "separator": ";"}),
    "bars": (b"a|b\n1|2\n", {"format": "csv", "separator": "|"}),
    "quoted commas": (b'a,b\n"x, y",2\n"z, w",4\n', {"format": "csv"}),
    "quotes that are none": (b'a\tb\n"x\t2\ny\t3\n', {"format": "tsv", "quotes": False}),
    "no header": (b"u1,1,x\nu2,2,y\n", {"format": "csv", "names": ["c0", "c1", "c2"]}),
    "no header, of words": (b"yes,x\nno,x\nyes,y\n", {"format": "csv", "names": ["c0", "c1"]}),
    "words below a header": (b"who,what\nbob,x\nann,y\n", {"format": "csv"}),
    "an index without a name": (b",a,b\n0,1,2\n1,3,4\n", {"format": "csv"}),
    "latin-1": ("a,b\né,2\n".encode("latin-1"), {"format": "csv", "encoding": "latin-1"}),
    "utf-16": ("a,b\né,2\n".encode("utf-16"), {"format": "csv", "encoding": "utf-16"}),
    "utf-8 with a mark": ("a,b\né,2\n".encode("utf-8-sig"), {"format": "csv"}),
    "libfm": (b"1 3:1 4:1 5:1\n-1 3:1 9:1 5:1\n", {"format": "libfm", "fields": 3}),
    "libfm with remarks": (b"# of a fair\n1 3:1 # 4:1\n0 4:1\n", {"format": "libfm", "fields": 1}),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_how_a_text_is_written_is_guessed(tmp_path: Path, name: str) -> None:
    content, expected = WRITTEN[name]
    path = tmp_path / "log.txt"
    path.write_bytes(content)
    assert recognise(str(path)).data == {**expected, "path": str(path)}


NONE: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "log.txt: is empty"),
    "blank": (b"\n\n", "log.txt: holds no event"),
    "a picture": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "log.txt: is a picture, no table"),
    "bytes": (bytes(range(256)), "log.txt: line 1 has a zero byte"),
    "prose": (b"It was a dark night.\nIt rained.\n", "log.txt: is no table: none of its lines has a comma"),
}


@pytest.mark.parametrize("name", NONE)
def test_what_no_format_reads_is_refused_with_a_remedy(tmp_path: Path, name: str) -> None:
    content, message = NONE[name]
    (tmp_path / "log.txt").write_bytes(content)
    with pytest.raises(DataError) as caught:
        recognise(str(tmp_path / "log.txt"))
    assert message in str(caught.value)


def test_a_path_that_is_not_there_and_a_folder_of_anything_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file or folder"):
        recognise(str(tmp_path / "nowhere"))
    (tmp_path / "notes.txt").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"is a folder of no known data set \(has notes.txt\); name one of its files"):
        recognise(str(tmp_path))


def test_sparse_texts_are_told_apart_by_their_cells(tmp_path: Path) -> None:
    lines = {
        "libsvm": "1 3:0.5 4:1\n0 7:2\n",
        "libffm": "1 0:3:1 1:4:1\n" * 300 + "0 11:2:0.5\n",  # its last field is beyond the first lines
        "libfm": "1 3:1 4:1\n-1 5:1 6:1\n",
    }
    for name, text in lines.items():
        path = tmp_path / f"log.{name}"
        path.write_text(text)
        found = recognise(str(path)).data
        assert found["format"] == name and found.get("fields") == {"libsvm": None, "libffm": 12, "libfm": 2}[name]


@pytest.mark.parametrize("items, said", [("item_context.csv", None), ("men_item_context.csv", "men_item_context.csv")])
def test_a_log_of_open_bandit_is_known_by_its_items(tmp_path: Path, items: str, said: str | None) -> None:
    path = write_bandit(tmp_path)["path"]
    (tmp_path / "item_context.csv").rename(tmp_path / items)
    found = recognise(path).data
    assert found["format"] == "open_bandit" and found.get("items") == said
    (tmp_path / items).unlink()
    assert recognise(path).data["format"] == "csv"
