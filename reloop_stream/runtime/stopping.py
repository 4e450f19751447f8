"""Stopping in order: when a signal asks for it, or when the time is over."""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time
from collections.abc import Iterator

from reloop_stream.runtime.exits import tell

__all__ = ["Stop", "stop_on_signals"]


class Stop:
    """Whether to stop, for loops that ask. deadline: a moment of the monotonic clock."""

    def __init__(self, deadline: float = math.inf) -> None:
        self._deadline = deadline
        self._signal: int | None = None

    def ask(self, number: int) -> None:
        """Have it stop, as if by this signal."""
        self._signal = number

    def __call__(self) -> bool:
        return self._signal is not None or time.monotonic() >= self._deadline

    def was_asked(self) -> bool:
        """Whether it is to stop for a signal, and not because the time is over."""
        return self._signal is not None

    @property
    def was_ctrl_c(self) -> bool:
        return self._signal == signal.SIGINT


@contextlib.contextmanager
def stop_on_signals(doing: str, timeout_s: float = math.inf) -> Iterator[Stop]:
    """Within it SIGTERM and Ctrl-C ask for a stop, and say what is still done; a second one raises KeyboardInterrupt.

    Outside the main thread, where Python hears no signals, only the timeout asks.
    """
    stop = Stop(time.monotonic() + timeout_s)
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    heard = False

    def hear(number: int, frame: object) -> None:
        nonlocal heard
        if heard:
            tell("stopping at once ...")
            raise KeyboardInterrupt
        heard = True
        stop.ask(number)
        tell(f"stopping: {doing} (again to stop at once) ...")

    handlers = {number: signal.signal(number, hear) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
