"""Another process that loads what a call will need while this one is busy, and then makes the call."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any

from reloop_stream.errors import ReloopError
from reloop_stream.runtime.logging import log_to_stderr
from reloop_stream.runtime.processes import Child

__all__ = ["Call", "aside"]

Call = Callable[..., Any]


@contextlib.contextmanager
def aside(load: Callable[[], object]) -> Iterator[Call]:
    """Within it `call(function, *arguments)` gives what the function does, in a process that has run `load` since it began.

    Raises what the function raises, and ReloopError where the process died. The functions, what they are given, give and raise are
    pickled between the two.
    """
    child = Child(_live, (load,), "aside", is_forked=False)

    def call(function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            child.send(function, arguments)
            is_done, result = child.pipe.recv()
        except (EOFError, OSError):
            raise ReloopError(f"{function.__name__}: its process died ({child.how_it_died()})") from None
        if not is_done:
            raise result
        return result

    try:
        yield call
    finally:
        child.end(patience_s=0)


def _live(pipe: Connection, load: Callable[[], object]) -> None:
    with log_to_stderr():
        load()
        with contextlib.suppress(EOFError, OSError):
            while message := pipe.recv():
                pipe.send(_outcome(*message))


def _outcome(function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[bool, Any]:
    try:
        return True, function(*arguments)
    except Exception as error:
        error.add_note(traceback.format_exc())
        return False, error
