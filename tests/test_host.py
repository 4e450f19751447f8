"""`guest.py`, in a process of its own: a client that another test's broker left behind draws random numbers too."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.rooms import ROOT

BODY = str(Path(__file__).parent / "guest.py")


@pytest.mark.slow
def test_what_a_process_has_one_of_stays_as_its_program_had_it() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", BODY]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-6000:]
