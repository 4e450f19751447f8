"""libFM's text format."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.errors import DataError
from tests.simulator.datasets.logged import read


@pytest.mark.parametrize("line, message", [("1 a:1 2:1", "line 2 is not"), ("1 3:1", "line 2 has 1 fields")])
def test_a_bad_line_of_libfm_is_named(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "x.libfm").write_text(f"0 1:1 2:1\n{line}\n")
    with pytest.raises(DataError, match=message):
        read({"format": "libfm", "path": str(tmp_path / "x.libfm"), "fields": 2})
