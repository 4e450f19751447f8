"""`garbage.py`, run where an index beyond an array is an error and no read of other memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.rooms import ROOT

BODY = str(Path(__file__).parent / "garbage.py")


def test_anything_at_all_is_refused_in_words_or_gives_probabilities() -> None:
    # numba takes the variable when it is imported. Its own check of bounds would compile everything anew for half a minute.
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "-p",
        "no:cacheprovider",
        BODY,
    ]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-6000:]
