"""Child processes, and what is known of them once they have ended."""

from __future__ import annotations

from multiprocessing.connection import Connection

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
