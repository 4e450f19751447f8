"""Locks of open files, and the calls that stand in for POSIX's."""

from __future__ import annotations

import errno
import fcntl
from pathlib import Path

import pytest

from reloop_stream.errors import LogError
from reloop_stream.log import Partition, open_log
from reloop_stream.runtime.descriptors import open_file, read_at, try_lock, write_at
from reloop_stream.service.learner_folder import LearnerFolder


def test_a_lock_is_had_by_one_alone(tmp_path: Path) -> None:
    one, other = open_file(tmp_path / "lock", write=True), open_file(tmp_path / "lock", write=True)
    assert try_lock(one) and not try_lock(other)


def test_what_is_written_at_a_place_is_read_there(tmp_path: Path) -> None:
    file = open_file(tmp_path / "file", write=True)
    assert write_at(file, [b"ab", b"c\n"], 3) == 4
    assert read_at(file, 10, 0) == b"\0\0\0abc\n"


def test_a_file_system_without_locks_is_told_of_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", fail)
    with pytest.raises(OSError, match=r"lock: cannot be locked: No locks available: .* use a local disk"):
        LearnerFolder(tmp_path / "learner").__enter__()
    log = open_log(tmp_path / "log")
    log.create_topics({"topic": 1})
    with pytest.raises(LogError, match=r"topic.0: cannot be locked: No locks available: .* use a local disk"):
        log.producer().append(Partition("topic", 0), b"")
