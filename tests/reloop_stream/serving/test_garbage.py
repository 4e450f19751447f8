"""`garbage.py`, run where an index beyond an array is an error and no read of other memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rooms import ROOT

BODY = str(Path(__file__).parent / "garbage.py")


@pytest.mark.slow  # everything is compiled anew
def test_anything_at_all_is_refused_in_words_or_gives_probabilities(tmp_path: Path) -> None:
    environment = {**os.environ, "NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", BODY]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-6000:]
