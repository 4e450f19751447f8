"""Jobs on a Ray cluster that is there already: a task each, done again elsewhere where a node dies."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from reloop_stream.errors import ConfigError
from reloop_stream.runtime.torch_state import one_thread
from simulator.lab.ray_cluster import connected, import_ray
from simulator.studies.engines import ASKED_EVERY_S, Each, Interrupted, WorkerDied

__all__ = ["Ray"]

J = TypeVar("J")
R = TypeVar("R")

# How often a job is begun again because a node or its process died. One that kills its process each time is not begun for ever.
RETRIES = 5


class Ray:
    """A job a processor of the cluster. Every node has this package, and the files that a scenario names as plugins.

    address: HOST:PORT of the head; `auto` is the cluster of this machine. Raises ConfigError where Ray is not installed, and when it
    is opened where there is no cluster. A program that is connected already stays so.
    """

    def __init__(self, address: str = "auto", jobs: int | None = None) -> None:
        if jobs is not None:
            raise ConfigError(f"--jobs: got {jobs}, is for --engine local; a cluster has a job a processor")
        self._ray = import_ray()
        self._address = address

    @property
    def size(self) -> int:
        """Processors of the nodes that live now; asked while it is open."""
        return max(1, int(self._ray.cluster_resources().get("CPU", 0)))

    @contextlib.contextmanager
    def open(self, work: Callable[[J], R]) -> Iterator[Each[J, R]]:
        with connected(self._ray, self._address):
            yield lambda jobs, should_stop: self._each(work, jobs, should_stop)

    def _each(
        self, work: Callable[[J], R], jobs: Sequence[J], should_stop: Callable[[], bool]
    ) -> Iterator[tuple[J, R]]:
        ray = self._ray
        task = ray.remote(num_cpus=1, max_retries=RETRIES)(_do)
        left, begun = list(reversed(jobs)), dict[Any, J]()
        while left or begun:
            while left and len(begun) < self.size and not should_stop():
                job = left.pop()
                begun[task.remote(work, job)] = job
            if not begun:
                break
            try:
                done, _ = ray.wait(list(begun), num_returns=1, timeout=ASKED_EVERY_S)
                for one in done:
                    yield begun.pop(one), ray.get(one)
            except KeyboardInterrupt:  # the second one: at once
                for one in begun:
                    ray.cancel(one, force=True)
                raise
            except ray.exceptions.RayTaskError as error:
                raise error.cause from None
            except ray.exceptions.RayError as error:
                raise WorkerDied(
                    f"a cell was begun {RETRIES + 1} times on the cluster and never ended ({type(error).__name__}; out of memory?); "
                    "what was done is kept: the same command goes on"
                ) from None
        if should_stop():
            raise Interrupted


def _do(work: Callable[[Any], Any], job: Any) -> Any:
    with one_thread():
        return work(job)
