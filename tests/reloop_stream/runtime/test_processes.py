"""Child processes, and what is known of them once they have ended."""

from __future__ import annotations

import subprocess
import sys
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest

from reloop_stream.runtime.processes import Child, peak_mib_of_largest


def hold(pipe: Connection, mib: int) -> None:
    held = np.ones(mib << 17)
    pipe.send(len(held))
    pipe.recv()


@pytest.mark.parametrize("is_forked", [True, False])
def test_the_peak_of_memory_is_that_of_the_largest_process_however_it_began(is_forked: bool) -> None:
    before = peak_mib_of_largest()
    if before is None:
        pytest.skip("nobody counts memory here")
    more = before + 100
    child = Child(hold, (more,), "holds", is_forked=is_forked)
    child.pipe.recv()
    child.end("end", patience_s=10)
    after = peak_mib_of_largest()
    assert after is not None and more <= after < more + before + 300


AHEAD = """
from reloop_stream.runtime.processes import Child, load_ahead
from tests.reloop_stream.runtime.test_processes import is_loaded
load_ahead(["wave", "no.such.module"])
child = Child(is_loaded, ("wave",), "asks")
print(child.pipe.recv())
child.end(patience_s=10)
"""


def is_loaded(pipe: Connection, module: str) -> None:
    pipe.send(module in sys.modules)


@pytest.mark.skipif(sys.platform != "linux", reason="children are forked on Linux alone")
def test_what_is_loaded_ahead_is_there_when_a_child_begins() -> None:
    root = Path(__file__).parents[3]
    said = subprocess.run([sys.executable, "-c", AHEAD], cwd=root, capture_output=True, text=True, check=True)
    assert said.stdout == "True\n"
