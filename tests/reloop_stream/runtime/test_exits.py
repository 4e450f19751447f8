"""How a command line ends, whoever reads what it says, and in whatever encoding."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from reloop_stream.runtime.exits import FAILED, OK, READER_GONE, carry_out
from tests.rooms import ROOT

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
# More than a pipe holds, so that the reader is missed.
SPEAK = """
import sys
from reloop_stream.runtime.exits import carry_out
sys.exit(carry_out(lambda: print("x" * 1_000_000) or 0, ()))
"""


def test_a_reader_that_has_gone_is_no_error_to_speak_of() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SPEAK], env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.read(1)
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == READER_GONE
    process.stderr.close()


# What was registered first is carried out last.
END = """
import atexit, gc
from reloop_stream.runtime.exits import carry_out
atexit.register(lambda: print(gc.get_freeze_count() > 1000, len(gc.get_objects()) < 1000))
carry_out(lambda: print(gc.get_freeze_count()), ())
"""
BOUND = """
class Meta(type):
    __module__ = "nanobind"
"""


@pytest.mark.parametrize("before, said", [("", "True True"), (BOUND, "False False")])
def test_a_program_looks_for_garbage_at_its_end_only_where_one_of_its_packages_would_complain(
    before: str, said: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", before + END], env=ENVIRONMENT, stdout=subprocess.PIPE, encoding="utf-8", check=True
    )
    assert done.stdout == f"0\n{said}\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_is_an_error() -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run(
            [sys.executable, "-c", SPEAK], env=ENVIRONMENT, stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == FAILED and done.stderr.startswith(b"error: [Errno 28]") and done.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    "encoding, said",
    [
        ("utf-8", "1 − 2 × é · 中 ".encode() + b"\xff"),
        ("ascii", b"1 - 2 x e . ? \xff"),
        ("cp1252", b"1 - 2 \xd7 \xe9 \xb7 ? \xff"),
    ],
)
def test_what_an_encoding_lacks_is_said_as_near_as_can_be(
    encoding: str, said: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict")
    monkeypatch.setattr(sys, "stdout", out)

    def speak() -> int:
        print("1 − 2 × é · 中 \udcff", end="")  # the last is a byte of a file's name
        return OK

    assert carry_out(speak, ()) == OK
    assert out.buffer.getvalue() == said and out.errors == "strict"
