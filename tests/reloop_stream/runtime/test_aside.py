"""A call in a process that has loaded what it takes."""

from __future__ import annotations

import json
import os
import signal

import pytest

from reloop_stream.errors import ReloopError
from reloop_stream.runtime.aside import aside


def load() -> None:
    os.environ["LOADED"] = "yes"


def loaded_in(word: str) -> tuple[int, str]:
    return os.getpid(), os.environ["LOADED"] + word


def die() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_a_call_is_made_elsewhere_after_what_it_takes_was_loaded() -> None:
    with aside(load) as call:
        process, said = call(loaded_in, "!")
        assert (process != os.getpid(), said) == (True, "yes!")
        with pytest.raises(json.JSONDecodeError, match="Expecting value"):
            call(json.loads, "?")
        assert call(loaded_in, "") == (process, "yes")  # it has outlived the error


def test_a_process_that_dies_is_said() -> None:
    with aside(load) as call, pytest.raises(ReloopError, match=r"die: its process died \(signal 15"):
        call(die)
