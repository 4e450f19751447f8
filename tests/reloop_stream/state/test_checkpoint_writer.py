"""Checkpoints written beside the work."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import numpy as np
import pytest

from reloop_stream.state.checkpoint import Sections, read_checkpoint
from reloop_stream.state.checkpoint_writer import CheckpointWriter

PATIENCE_S = 30.0


def sections(values: np.ndarray) -> Sections:
    found = Sections()
    found.put("part", {"n": len(values)}, {"values": values})
    return found


def test_a_save_holds_what_was_when_it_began_and_is_told_of_once_it_is_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[bool, bool]] = []
    files = [tmp_path / "server", tmp_path / "worker"]
    is_held, sync = threading.Event(), os.fsync

    def hold(descriptor: int) -> None:
        assert is_held.wait(PATIENCE_S)
        sync(descriptor)

    monkeypatch.setattr("reloop_stream.state.files.os.fsync", hold)
    writer, values, here = CheckpointWriter(), np.zeros(3), threading.get_ident()

    def saved() -> None:
        told.append((all(path.exists() for path in files), threading.get_ident() == here))

    writer.write([(path, sections(values)) for path in files], saved)
    values += 1
    writer.settle()
    assert not told and not any(path.exists() for path in files)
    is_held.set()
    writer.write([], lambda: None)  # waits for the one before
    assert told == [(True, True)]
    writer.wait()
    writer.close()
    for path in files:
        found = read_checkpoint(path)
        assert found is not None and found.get("part")[1]["values"].tolist() == [0, 0, 0]


def test_a_disk_that_is_full_is_told_and_nothing_is_done_or_written_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    writer = CheckpointWriter()
    writer.write([(tmp_path / name, sections(np.zeros(1))) for name in ("server", "worker")], lambda: told.append("1"))
    writer.wait()
    before = (tmp_path / "worker").read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("reloop_stream.state.files.os.fsync", full)
    writer.write([(tmp_path / name, sections(np.ones(1))) for name in ("server", "worker")], lambda: told.append("2"))
    with pytest.raises(OSError, match="server: cannot be written: No space left on device; make room"):
        writer.wait()
    writer.settle()
    writer.close()
    assert told == ["1"] and (tmp_path / "worker").read_bytes() == before
