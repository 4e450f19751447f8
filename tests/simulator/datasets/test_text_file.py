"""Files of text: unpacked by what they are, and refused where a line is no line."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from simulator.datasets import text_file as module
from simulator.datasets.text_file import blocks, text_file
from simulator.errors import DataError

TEXT = "a,b\n1,é\n2,x\n"


def read(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    return b"".join(block for _, block in blocks(text_file(path))).decode()


@pytest.mark.parametrize("packed", [bytes, gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("name", ["x.csv", "x.csv.gz", "x.csv.xz"])
def test_a_file_is_unpacked_by_its_bytes_whatever_its_name(
    tmp_path: Path, packed: Callable[[bytes], bytes], name: str
) -> None:
    assert read(tmp_path / name, packed(TEXT.encode())) == TEXT
    assert read(tmp_path / name, packed(TEXT.encode("utf-8-sig"))) == TEXT


def test_blocks_are_whole_lines_with_the_number_of_their_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK_BYTES", 7)
    (tmp_path / "x").write_text("".join(f"line {n}\n" for n in range(1, 40)) + "last")
    found = list(blocks(text_file(tmp_path / "x")))
    assert len(found) > 10 and found[-1] == (40, b"last")
    for number, block in found[:-1]:
        assert block.startswith(b"line %d\n" % number) and block.endswith(b"\n")


REFUSED: dict[str, tuple[bytes, str]] = {
    "latin": (TEXT.encode("latin-1"), "line 2 is not UTF-8 (byte 0xe9, in Latin-1 'é'); save the file as UTF-8"),
    "utf-16": (TEXT.encode("utf-16"), "is UTF-16: save it as UTF-8"),
    "zero byte": (b"a\nb\0\n", "line 2 has a zero byte"),
    "carriage return": (b"a\r\nb\rc\n", "line 2 has a carriage return that ends no line"),
    "empty": (b"", "is empty"),
    "cut": (gzip.compress(TEXT.encode())[:-4], "cannot be read to its end"),
    "damaged": (gzip.compress(TEXT.encode())[:-8] + bytes(8), "cannot be read to its end"),
    "parquet": (b"PAR1....", "is a Parquet file: say data.format: parquet"),
    "zip": (b"PK\x03\x04....", "is a damaged zip, or a zip in a zip"),
    "endless": (b"x" * 3000, "line 1 has over"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_text_is_refused_with_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(module, "LINE_BYTES", 2000)
    monkeypatch.setattr(module, "BLOCK_BYTES", 1000)
    content, message = REFUSED[name]
    with pytest.raises(DataError) as caught:
        read(tmp_path / "odd.csv", content)
    assert message in str(caught.value) and "odd.csv" in str(caught.value)


def test_a_folder_and_a_pipe_are_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="is a folder, must be a file"):
        text_file(tmp_path)
    with pytest.raises(DataError, match="is no regular file"):
        text_file(tmp_path / "pipe")
