"""Where jobs are done: in this process, in processes of this machine, or on a Ray cluster. One work, many jobs, in any order."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager
from multiprocessing import active_children, get_context
from typing import Any, Protocol, TypeVar

from reloop_stream.errors import ReloopError
from reloop_stream.runtime.processes import cores, die_with, without_main
from reloop_stream.runtime.torch_state import one_thread

__all__ = ["ASKED_EVERY_S", "Each", "Engine", "Interrupted", "Local", "WorkerDied"]

ASKED_EVERY_S = 0.5  # whether to stop

J = TypeVar("J")
R = TypeVar("R")

# Does the jobs and gives each with what came of it, as they end. It raises what a job raises, Interrupted where it is asked to
# stop, once the jobs that are being done have been given, and WorkerDied.
Each = Callable[[Sequence[J], Callable[[], bool]], Iterator[tuple[J, R]]]


class Interrupted(Exception):
    """Ctrl-C: what is done is kept."""


class WorkerDied(ReloopError):
    """A process that worked on a cell was killed. What is done is kept."""


class Engine(Protocol):
    """Who does the jobs."""

    @property
    def size(self) -> int:
        """How many jobs it does at once."""
        ...

    def open(self, work: Callable[[J], R]) -> AbstractContextManager[Each[J, R]]:
        """work: what is done with a job; picklable, and it reaches a process once, before its first job."""
        ...


class Local:
    """Processes of this machine; one is this process itself. processes: None for one a core."""

    def __init__(self, processes: int | None = None) -> None:
        self._size = processes or cores()

    @property
    def size(self) -> int:
        return self._size

    @contextlib.contextmanager
    def open(self, work: Callable[[J], R]) -> Iterator[Each[J, R]]:
        if self._size == 1:
            yield lambda jobs, should_stop: _one_by_one(work, jobs, should_stop)
            return
        with ProcessPoolExecutor(
            self._size, mp_context=get_context("spawn"), initializer=_begin, initargs=(os.getpid(), work)
        ) as pool:
            try:
                yield lambda jobs, should_stop: _at_once(pool, self._size, jobs, should_stop)
            except BrokenProcessPool:
                raise WorkerDied(
                    "a process that worked on a cell was killed (out of memory?); what was done is kept: the same command "
                    "goes on, and fewer processes need less memory"
                ) from None
            except KeyboardInterrupt:  # the second one: at once
                for process in active_children():
                    process.kill()
                raise


def _one_by_one(work: Callable[[J], R], jobs: Sequence[J], should_stop: Callable[[], bool]) -> Iterator[tuple[J, R]]:
    for job in jobs:
        if should_stop():
            raise Interrupted
        with one_thread():
            found = work(job)
        yield job, found
    if should_stop():
        raise Interrupted


def _at_once(
    pool: ProcessPoolExecutor, size: int, jobs: Sequence[J], should_stop: Callable[[], bool]
) -> Iterator[tuple[J, R]]:
    """As many jobs are handed out as there are processes: one that waits in the pool's queue could not be called back."""
    left, begun = list(reversed(jobs)), dict[Future[Any], J]()
    while left or begun:
        while left and len(begun) < size and not should_stop():
            job = left.pop()
            with without_main():
                begun[pool.submit(_do, job)] = job
        if not begun:
            break
        done, _ = wait(begun, timeout=ASKED_EVERY_S, return_when=FIRST_COMPLETED)
        for future in done:
            yield begun.pop(future), future.result()
    if should_stop():
        raise Interrupted


_work: Callable[[Any], Any]  # of a process that works, from its beginning on


def _begin(parent: int, work: Callable[[Any], Any]) -> None:
    import torch

    global _work
    die_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; the parent says what follows
    torch.set_num_threads(1)
    _work = work


def _do(job: Any) -> Any:
    return _work(job)
