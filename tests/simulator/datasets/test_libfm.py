"""libFM's text format."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.errors import DataError
from tests.simulator.datasets.logged import read

BAD = {
    "word": ("1 a:1 2:1", "line 3 is not `label index:value ...`: got 'a:1'"),
    "libFFM": ("1 0:3:1 1:4:1", "line 3 is not .*'0:3:1' is field:index:value, libFFM's"),
    "negative": ("1 -3:1 4:1", "line 3 is not .*got '-3:1', the index must be 0 or more"),
    "beyond int64": (f"1 {2**63}:1 4:1", "line 3 is not .*the index must be below 2\\^63"),
    "digits": (f"1 {'9' * 5000}:1 4:1", "line 3 is not .*got '99999"),
    "nan": ("1 3:nan 4:1", "line 3 is not .*got '3:nan'"),
    "inf": ("1 3:1 4:inf", "line 3 is not .*got '4:inf'"),
    "float32": ("1 3:1e39 4:1", "line 3 is not .*got '3:1e39', the value must be 1"),
    "amount": ("1 3:0.5 4:1", "line 3 is not .*got '3:0.5', the value must be 1"),
    "no value": ("1 3 4", "line 3 is not .*got '3'"),
    "label": ("nan 3:1 4:1", "line 3 is not .*its label is 'nan', must be a finite number"),
    "far label": ("1e999 3:1 4:1", "line 3 is not .*its label is '1e999'"),
    "other digits": ("1 ٣:1 4:1", "line 3 is not"),
    "fewer": ("1 3:1", r"line 3 has 1 fields, must have 2 \(data.fields\)"),
    "only a label": ("1", "line 3 has 0 fields"),
    "more": ("1 3:1 4:1 5:1", "line 3 has 3 fields"),
    "zero byte": ("1 3:1 4:1\0", "line 3 has a zero byte"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_line_of_libfm_is_named(tmp_path: Path, name: str) -> None:
    line, message = BAD[name]
    (tmp_path / "x.libfm").write_text(f"0 1:1 2:1\n\n{line}\n")
    with pytest.raises(DataError, match=message):
        read({"format": "libfm", "path": str(tmp_path / "x.libfm"), "fields": 2})


def test_what_libfm_allows_is_read(tmp_path: Path) -> None:
    lines = ["# of a fair", "-1 3:1 3:1.0", "", f"+1.0 {2**63 - 1}:1\t007:1e0 # 4:1", "0 1:1 2:1"]
    (tmp_path / "x.libfm").write_text("\r\n".join(lines), newline="")
    rows = read({"format": "libfm", "path": str(tmp_path / "x.libfm"), "fields": 2})
    assert rows.label.tolist() == [0, 1, 0] and rows.time_ms.tolist() == [0, 1000, 2000]
    assert rows.user_id.tolist() == [3, 2**63 - 1, 1] and rows.item_id.tolist() == [3, 7, 2]
