"""What torch keeps for the whole process belongs to the program around us: borrowed here, and given back.

torch is loaded when something of it is borrowed: it takes longer than all else that a run loads, and not every run has use for it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

__all__ = ["drawing_from", "one_thread"]


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Within it torch computes on one thread: what our commands and worker processes do, and what digests are promised for.

    Two gain nothing at these sizes, collapse under contention, and could change the order of sums.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def drawing_from(seed: int, device: torch.device) -> Iterator[None]:
    """Within it torch's draws come from the seed; afterwards its generators go on as if nothing had been drawn.

    Costs 12 µs on a CPU, where torch.manual_seed alone costs 400.
    """
    import torch

    others = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=others):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed every device there is
        for other in others:
            with torch.cuda.device(other):
                torch.cuda.manual_seed(seed)
        yield
