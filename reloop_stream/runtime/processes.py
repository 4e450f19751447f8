"""Child processes: started clean, spoken to over a pipe, found dead with a reason, gone when the parent is gone."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import multiprocessing
import os
import signal
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, SpawnContext
from pathlib import Path
from typing import Any

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

__all__ = ["Child", "cores", "die_with", "load_ahead", "peak_mib_of_largest", "speaks_for_all", "without_main"]

PR_SET_PDEATHSIG = 1  # prctl(2): the signal that this process gets when its parent dies
LAST_WORDS_S = 1.0  # between the end of a process's pipe and its own
FIRST = "#1"

_numbers = itertools.count(1)
_peak_kib_of_ended = 0  # of children that are not this process's own in the kernel's eyes


def speaks_for_all() -> bool:
    """Whether this process is to say what all that do its work would: the program's own does, and the first it started."""
    return multiprocessing.parent_process() is None or multiprocessing.current_process().name.endswith(FIRST)


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def die_with(parent: int) -> None:
    """Have the kernel end this process when the parent dies, however it dies (Linux; elsewhere a broken pipe tells)."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


@contextlib.contextmanager
def without_main() -> Iterator[None]:
    """A spawned process runs its parent's main module again. Nothing here lives in one, and a user's script that has no
    `if __name__ == "__main__"` would start itself anew in every child."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def peak_mib_of_largest() -> int | None:
    """The most memory that this process, or one that it started and that has ended, held; None where nobody counts."""
    if resource is None:
        return None
    peak: int = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    mib = round(peak / (1 << 20 if sys.platform == "darwin" else 1 << 10))  # in bytes there, in KiB elsewhere
    return max(mib, round(_peak_kib_of_ended / (1 << 10)))


def _context(module: str) -> ForkServerContext | SpawnContext:
    """How children are started: on Linux forked from a process that has loaded the module and done nothing since, so that
    it is loaded once however many they are; elsewhere each is a new one."""
    if sys.platform != "linux" or not hasattr(os, "fork"):
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([module])
    return context


def load_ahead(modules: Sequence[str]) -> None:
    """Begin the process that children are forked from, which loads these modules for all of them while this one goes on. Does
    nothing where it has begun already, or where children are not forked."""
    if sys.platform == "linux" and hasattr(os, "fork"):
        from multiprocessing import forkserver

        forkserver.set_forkserver_preload([*modules])
        with without_main(), _deaf_to_ctrl_c():
            forkserver.ensure_running()


@contextlib.contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """What is started meanwhile never hears Ctrl-C, which reaches all of a terminal's processes: the parent says what follows."""
    if sys.platform != "linux":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _peak_kib(process: int | None) -> int:
    """The most memory that a living process has held; 0 where that cannot be seen."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return 0


class Child:
    """A process that runs `target(pipe, *arguments)`; `pipe` is this side's end.

    target, arguments: importable and picklable, and not of the main module. is_forked: whether it shares what it loads with
    others that are, where it can be; what these have loaded then depends on which began first.
    """

    def __init__(
        self, target: Callable[..., None], arguments: tuple[Any, ...], name: str, *, is_forked: bool = True
    ) -> None:
        context = _context(target.__module__) if is_forked else multiprocessing.get_context("spawn")
        self.name = name
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_live,
            args=(target, theirs, dict(os.environ), arguments),
            name=f"{name} #{next(_numbers)}" if is_forked else name,
            daemon=True,
        )
        with without_main(), _deaf_to_ctrl_c():
            self._process.start()
        theirs.close()

    def send(self, *message: Any) -> None:
        """Raises OSError where it is dead."""
        self.pipe.send(message)

    def how_it_died(self) -> str:
        """Once its pipe has ended: the signal or the exit code."""
        self._process.join(timeout=LAST_WORDS_S)
        code = self._process.exitcode
        return f"signal {-code}; out of memory?" if code is not None and code < 0 else f"exit code {code}"

    def end(self, *farewell: Any, patience_s: float) -> None:
        """Say farewell, wait for it to end, and end it where that takes too long."""
        global _peak_kib_of_ended
        _peak_kib_of_ended = max(_peak_kib_of_ended, _peak_kib(self._process.pid))
        with contextlib.suppress(OSError):
            self.send(*farewell)
        self._process.join(timeout=patience_s)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self.pipe.close()


def _live(
    target: Callable[..., None], pipe: Connection, environment: dict[str, str], arguments: tuple[Any, ...]
) -> None:
    die_with(os.getppid())  # on Linux what it was forked from, which ends as soon as the parent does
    parent = multiprocessing.parent_process()
    if parent is None or not parent.is_alive():
        os._exit(1)
    os.environ.clear()  # what it was forked from may have begun in another
    os.environ.update(environment)
    target(pipe, *arguments)
