"""Engines: the same jobs, whoever does them, and what happens when one is stopped or dies."""

from __future__ import annotations

import os
import signal

import pytest
import torch

from simulator.studies.engines import Each, Interrupted, Local, WorkerDied


def squared(job: int) -> tuple[int, int]:
    return job**2, torch.get_num_threads()


def deadly(job: int) -> int:
    if job == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return job


def until_stopped(each: Each[int, tuple[int, int]], done: dict[int, tuple[int, int]]) -> None:
    """Stop as soon as three jobs are done."""
    for job, found in each(range(100), lambda: len(done) >= 3):
        done[job] = found


def test_this_process_does_the_jobs_in_their_order_on_one_thread_and_hears_a_stop_between_them() -> None:
    done: dict[int, tuple[int, int]] = {}
    with Local(1).open(squared) as each:
        assert list(each(range(5), lambda: False)) == [(job, (job**2, 1)) for job in range(5)]
        with pytest.raises(Interrupted):
            until_stopped(each, done)
    assert list(done) == [0, 1, 2]


@pytest.mark.slow
def test_two_processes_do_what_one_does_and_are_given_no_more_than_they_can_begin() -> None:
    done: dict[int, tuple[int, int]] = {}
    with Local(2).open(squared) as each:
        assert dict(each(range(9), lambda: False)) == {job: (job**2, 1) for job in range(9)}
        with pytest.raises(Interrupted):
            until_stopped(each, done)
        assert 3 <= len(done) <= 5
        assert dict(each([7], lambda: False)) == {7: (49, 1)}  # the processes live on


@pytest.mark.slow
def test_a_process_that_is_killed_is_said_to_be() -> None:
    with pytest.raises(WorkerDied, match=r"was killed .*the same command goes on"), Local(2).open(deadly) as each:
        list(each([3], lambda: False))
